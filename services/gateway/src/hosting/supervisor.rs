//! Runs the sessions of this gateway until the shutdown: what the records say is compared with what runs, at each change
//! and every ten seconds.
//!
//! A session that fails disturbs no other one: it starts again after a pause. Only `default` ends the process if it cannot
//! run and nothing else does, so that a mistake in the settings is seen.

use super::{
    HeldElsewhere,
    session_claim::release_session,
    session_placement::SessionPlacement,
    session_registry::SessionRegistry,
    session_service::{SessionContext, SessionFailure, run_session},
};
use crate::{config::GatewayConfig, publish::SessionMetadata};
use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _};
use kurir_chassis::{backoff::Backoff, shutdown::CancellationToken};
use kurir_contract::{
    session::SessionId,
    session_record::{DesiredState, SessionRecord, SessionSettings},
    subject,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::AssertUnwindSafe,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};

/// How often the records are read although nobody said that one has changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The same for a gateway that can take sessions over: it sees then that a holder is gone.
const LOOK_FOR_HOLDERS_EVERY: Duration = Duration::from_secs(1);
/// How often a gateway says again that another one holds its session.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// The pauses before a session that failed starts again.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(64));
/// A session that ran for so long starts its back-off from the shortest pause.
const LONG_RUN: Duration = Duration::from_secs(60);
/// A gateway with more sessions waits longer before it takes a new one, so that new sessions spread.
const WAIT_FOR_EACH: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Claims that are released at one look, which waits for each.
const RELEASES_AT_ONCE: usize = 4;

pub struct Supervisor {
    context: SessionContext,
    config: GatewayConfig,
    registry: SessionRegistry,
    /// Which sessions this gateway may run, if their keys are in NATS.
    placement: SessionPlacement,
    records: BTreeMap<SessionId, SessionRecord>,
    running: BTreeMap<SessionId, RunningSession>,
    tasks: JoinSet<(SessionId, Result<(), SessionFailure>)>,
    /// Sessions that wait for their turn to start.
    starts: VecDeque<SessionId>,
    next_start: Instant,
    failures: BTreeMap<SessionId, FailedSession>,
    /// Sessions that another gateway holds although their keys are here too. None of them is ever taken by this process:
    /// its keys are old by then.
    elsewhere: BTreeMap<SessionId, HeldElsewhere>,
    reminded: Option<Instant>,
    /// Whether the gateway is not ready because others hold its sessions.
    has_problem: bool,
}

struct RunningSession {
    stop: CancellationToken,
    settings: SessionSettings,
    metadata: SessionMetadata,
    begun: Instant,
}

struct FailedSession {
    count: u32,
    again_at: Instant,
}

impl Supervisor {
    /// # Errors
    /// If the folder of the sessions cannot be used.
    pub fn new(context: SessionContext, config: GatewayConfig) -> anyhow::Result<Self> {
        let registry = SessionRegistry::open(
            &context.broker,
            (&config.whatsapp_session_path, &context.sessions),
            config.journal_keys(),
        )?;
        Ok(Self {
            context,
            config,
            registry,
            placement: SessionPlacement::default(),
            records: BTreeMap::new(),
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            starts: VecDeque::new(),
            next_start: Instant::now(),
            failures: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            reminded: None,
            has_problem: false,
        })
    }

    /// Runs until the shutdown, and then until all sessions have left WhatsApp.
    ///
    /// # Errors
    /// If `default` cannot run and no other session does.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let changed = self.context.broker.client.subscribe(subject::SESSIONS_CHANGED).await;
        let mut changed = changed.context("failed to subscribe to changes of sessions")?;
        let mut look = interval(if self.registry.is_in_nats() { LOOK_FOR_HOLDERS_EVERY } else { LOOK_EVERY });
        loop {
            let next_retry = self.next_retry();
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = look.tick() => {}
                Some(_) = changed.next() => {}
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let (session, result) = ended.context("the task of a session panicked")?;
                    self.take_end(session, result)?;
                }
                () = sleep_until(next_retry.unwrap_or_else(Instant::now)), if next_retry.is_some() => {}
                () = sleep_until(self.next_start), if !self.starts.is_empty() => {
                    self.start_next(&shutdown);
                    continue;
                }
            }
            match self.read_records().await {
                Ok(records) => {
                    self.records = records;
                    self.reconcile().await;
                }
                Err(error) => {
                    tracing::debug!("the records of the sessions were not read; they are read again: {error:#}");
                    look.reset_after(Duration::from_secs(1));
                }
            }
        }
        while self.tasks.join_next().await.is_some() {}
        Ok(())
    }

    async fn read_records(&mut self) -> anyhow::Result<BTreeMap<SessionId, SessionRecord>> {
        let records = self.registry.read(&self.records).await?;
        if self.registry.is_in_nats() {
            let (holders, alive) = (self.registry.holders().await?, self.context.lease.alive().await?);
            let running: BTreeSet<SessionId> = self.running.keys().cloned().collect();
            let mut candidates = records.clone();
            candidates.retain(|_, record| self.registry.may_run(record));
            let gateway = self.context.lease.gateway();
            let held: Vec<SessionId> =
                holders.iter().filter(|(_, holder)| *holder == gateway).map(|(id, _)| id.clone()).collect();
            self.placement.look(gateway, &candidates, (holders, alive), running);
            self.release_leftovers(held).await;
        }
        Ok(records)
    }

    /// Releases what this gateway holds by name only, as when NATS was away at the end of a session. As long as this
    /// gateway is alive, no other one takes it.
    async fn release_leftovers(&self, held: Vec<SessionId>) {
        let is_left = |session: &SessionId| !self.running.contains_key(session) && !self.placement.may_run(session);
        for session in held.into_iter().filter(is_left).take(RELEASES_AT_ONCE) {
            release_session(self.context.broker.clone(), &session, self.context.lease.gateway()).await;
        }
    }

    /// Brings what runs closer to what the records say.
    async fn reconcile(&mut self) {
        let wanted: BTreeSet<SessionId> = self.wanted().cloned().collect();
        for (session, running) in &self.running {
            let record = self.records.get(session);
            let is_same = record.is_some_and(|record| record.settings == running.settings);
            if !wanted.contains(session) || !is_same {
                running.stop.cancel();
            }
            if let Some(record) = record {
                running.metadata.set(&record.metadata);
            }
        }
        self.elsewhere.retain(|session, _| wanted.contains(session));
        self.failures.retain(|session, _| wanted.contains(session));
        self.starts.retain(|session| wanted.contains(session));
        for session in &wanted {
            let waits = self.failures.get(session).is_some_and(|failed| Instant::now() < failed.again_at);
            let is_known = self.running.contains_key(session) || self.elsewhere.contains_key(session);
            if !waits && !is_known && !self.starts.contains(session) {
                self.starts.push_back(session.clone());
            }
        }
        self.remove_deleted().await;
        self.report_elsewhere();
        if self.running.is_empty() && self.starts.is_empty() && self.elsewhere.is_empty() {
            self.context.health.mark_ready();
        }
    }

    /// When the next session that failed may start again. One whose time has come is in `starts`, or waits for its record.
    fn next_retry(&self) -> Option<Instant> {
        let now = Instant::now();
        self.failures.values().map(|failed| failed.again_at).filter(|at| *at > now).min()
    }

    /// The sessions that this gateway shall run.
    fn wanted(&self) -> impl Iterator<Item = &SessionId> {
        let most = self.config.gateway_max_sessions.unwrap_or(usize::MAX);
        let mut room = most.saturating_sub(self.running.len());
        self.records.iter().filter(|(_, record)| record.desired == DesiredState::Running).filter_map(
            move |(id, record)| {
                if self.registry.is_in_nats() {
                    let takes = self.placement.may_run(id) && (self.running.contains_key(id) || room > 0);
                    room -= usize::from(takes && !self.running.contains_key(id));
                    return takes.then_some(id);
                }
                if self.running.contains_key(id) || self.registry.is_home(record) {
                    return self.registry.may_run(record).then_some(id);
                }
                let takes = self.registry.may_run(record) && room > 0;
                room -= usize::from(takes);
                takes.then_some(id)
            },
        )
    }

    fn start_next(&mut self, shutdown: &CancellationToken) {
        let Some(session) = self.starts.pop_front() else { return };
        let Some(record) = self.records.get(&session) else { return };
        self.next_start = Instant::now() + Duration::from_secs(1) / self.config.session_start_rate.max(1);
        let (context, config) = (self.context.clone(), self.config.for_session(record));
        let (registry, stop) = (self.registry.clone(), shutdown.child_token());
        let metadata = SessionMetadata::default();
        metadata.set(&record.metadata);
        let running = RunningSession {
            stop: stop.clone(),
            settings: record.settings.clone(),
            metadata: metadata.clone(),
            begun: Instant::now(),
        };
        let others = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let is_new = record.home.is_none() && session != SessionId::default();
        let wait = if is_new { WAIT_FOR_EACH.saturating_mul(others).min(LONGEST_WAIT) } else { Duration::ZERO };
        self.running.insert(session.clone(), running);
        self.tasks.spawn(async move {
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return (session, Ok(()));
            }
            // The session's own tasks are caught by their set. This is for what runs outside of them.
            let run = AssertUnwindSafe(run_session(&context, &config, (&session, &registry), metadata, stop));
            let result = run.catch_unwind().await;
            (session, result.unwrap_or_else(|_| Err(anyhow::anyhow!("the session panicked").into())))
        });
    }

    fn take_end(&mut self, session: SessionId, result: Result<(), SessionFailure>) -> anyhow::Result<()> {
        let begun = self.running.remove(&session).map_or_else(Instant::now, |running| running.begun);
        match result {
            Ok(()) => {}
            // Its keys are not lost for this gateway: the holder may be gone the next time.
            Err(SessionFailure::HeldElsewhere(_)) if self.registry.is_in_nats() => log_taken_over(&session),
            Err(SessionFailure::HeldElsewhere(elsewhere)) => {
                self.elsewhere.insert(session, elsewhere);
            }
            Err(SessionFailure::TakenOver) => log_taken_over(&session),
            Err(SessionFailure::Failed(error)) if self.running.is_empty() && session == SessionId::default() => {
                return Err(error);
            }
            Err(SessionFailure::Failed(error)) => {
                let earlier = self.failures.get(&session).filter(|_| begun.elapsed() < LONG_RUN);
                let count = earlier.map_or(0, |failed| failed.count) + 1;
                let pause = BACKOFF.pause_after(count);
                tracing::error!(session.id = %session, "the session {session} failed and starts again in {pause:?}: {error:#}");
                self.failures.insert(session, FailedSession { count, again_at: Instant::now() + pause });
            }
        }
        Ok(())
    }

    /// Removes the sessions that are deleted, once they have stopped.
    async fn remove_deleted(&mut self) {
        let deleted: Vec<SessionId> = self
            .records
            .iter()
            .filter(|(id, record)| {
                record.desired == DesiredState::Deleted
                    && self.registry.may_run(record)
                    && !self.placement.is_held_elsewhere(id)
                    && !self.running.contains_key(id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for session in deleted {
            match self.registry.remove(&session).await {
                Ok(()) => {
                    self.records.remove(&session);
                    tracing::info!(session.id = %session, "the session {session} was removed");
                }
                Err(error) => {
                    tracing::error!(session.id = %session, "the session {session} was not removed: {error:#}")
                }
            }
        }
    }

    /// Says which sessions another gateway holds, and that this one is not ready if it holds none.
    fn report_elsewhere(&mut self) {
        let first = self.elsewhere.values().next();
        let problem = first.filter(|_| self.running.is_empty() && self.starts.is_empty()).map(ToString::to_string);
        // Another problem is not this one's to take back.
        if problem.is_some() || self.has_problem {
            self.has_problem = problem.is_some();
            self.context.health.set_problem(problem);
        }
        if first.is_some() && self.reminded.is_none_or(|at| at.elapsed() >= REMIND_EVERY) {
            self.reminded = Some(Instant::now());
            for (session, elsewhere) in &self.elsewhere {
                tracing::error!(session.id = %session, "{elsewhere}");
            }
        }
    }
}

fn log_taken_over(session: &SessionId) {
    tracing::info!(session.id = %session, "the session {session} went to another gateway");
}

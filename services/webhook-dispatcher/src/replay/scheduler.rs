//! Finds every replay that runs and has it fed, by this dispatcher as by every other one; forgets those that ended long
//! ago. What was begun by a dispatcher that died is found by the next look.

use crate::replay::service::ReplayService;
use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::webhook::{Replay, ReplayState};
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// Between two looks into the bucket.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Replays that have ended are kept so long: as long as the record of their attempts.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A replay that was cancelled is swept so long again: what was in delivery then may keep one more retry.
const SWEPT_FOR: Duration = Duration::from_secs(120);

pub struct ReplayScheduler {
    replays: ReplayService,
    begins: mpsc::Receiver<String>,
    fed: HashSet<String>,
    feeders: FuturesUnordered<BoxFuture<'static, String>>,
    /// Those that have ended, and when: they need not be read again.
    ended: HashMap<String, OffsetDateTime>,
}

impl ReplayScheduler {
    pub(super) fn new(replays: ReplayService, begins: mpsc::Receiver<String>) -> Self {
        Self { replays, begins, fed: HashSet::new(), feeders: FuturesUnordered::new(), ended: HashMap::new() }
    }

    /// Keeps until the shutdown. What was being moved then is moved by another dispatcher, or after the next start.
    ///
    /// # Errors
    /// None: a broker that is away is waited for.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(id) = self.begins.recv() => self.begin(id),
                Some(id) = self.feeders.next(), if !self.feeders.is_empty() => {
                    self.fed.remove(&id);
                    self.replays.running.store(self.fed.len(), Ordering::Relaxed);
                }
                _ = looks.tick() => {
                    if self.replays.broker.is_connected()
                        && let Err(error) = self.look().await
                    {
                        tracing::debug!("failed to look for replays: {error:#}");
                    }
                }
            }
        }
    }

    fn begin(&mut self, id: String) {
        if self.fed.insert(id.clone()) {
            self.replays.running.store(self.fed.len(), Ordering::Relaxed);
            let replays = self.replays.clone();
            let feeding = async move {
                replays.feed(&id).await;
                id
            };
            self.feeders.push(feeding.boxed());
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let now = OffsetDateTime::now_utc();
        let ids = self.replays.records.ids().await?;
        self.ended.retain(|id, _| ids.contains(id));
        for id in ids {
            if self.fed.contains(&id) {
                continue;
            }
            match self.ended.get(&id) {
                Some(at) if now - *at > KEPT_FOR => self.replays.records.forget(&id).await?,
                Some(_) => {}
                None => match self.replays.records.get(&id).await {
                    Ok(Some(record)) => self.found(id, &record.replay, now).await?,
                    Ok(None) => {}
                    // One that cannot be read must not hide the others.
                    Err(error) => tracing::debug!("failed to look at the replay {id}: {error:#}"),
                },
            }
        }
        Ok(())
    }

    async fn found(&mut self, id: String, replay: &Replay, now: OffsetDateTime) -> anyhow::Result<()> {
        let ended = replay.ended_at.as_deref().unwrap_or(&replay.created_at);
        let ended = OffsetDateTime::parse(ended, &Rfc3339).context("a replay has no time")?;
        match replay.state {
            ReplayState::Running => self.begin(id),
            ReplayState::Done => {
                self.ended.insert(id, ended);
            }
            ReplayState::Cancelled => {
                self.replays.sweep(replay).await?;
                if now - ended > SWEPT_FOR {
                    self.ended.insert(id, ended);
                }
            }
        }
        Ok(())
    }
}

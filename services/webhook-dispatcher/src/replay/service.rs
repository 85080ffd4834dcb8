//! What the commands about replays ask.

use crate::{
    command_error,
    endpoint::Endpoint,
    endpoints::{lookup::EndpointLookup, watcher::EndpointChange},
    replay::{
        record::{self, CopyProgress, ReplayRecord, ReplayStore},
        source::{self, ReplaySource},
    },
};
use anyhow::Context as _;
use async_nats::jetstream::stream::RawMessageErrorKind;
use kurir_chassis::broker::Broker;
use kurir_contract::{
    clock,
    command::CommandError,
    endpoint::EndpointId,
    stream, subject,
    webhook::{Replay, ReplayRequest, ReplaySelection, ReplayState},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// Replays that run at the same time: each is looked at ten times a second by every dispatcher.
const AT_ONCE: usize = 100;

/// What replays are asked of and made with.
#[derive(Clone)]
pub struct ReplayService {
    pub(super) broker: Broker,
    pub(super) directory: EndpointLookup,
    pub(super) records: ReplayStore,
    pub(super) changes: mpsc::Sender<EndpointChange>,
    pub(super) begun: mpsc::Sender<String>,
    pub(super) running: Arc<AtomicUsize>,
}

impl ReplayService {
    #[must_use]
    pub fn new(
        broker: Broker,
        directory: EndpointLookup,
        changes: mpsc::Sender<EndpointChange>,
        begun: mpsc::Sender<String>,
    ) -> Self {
        let records = ReplayStore::new(broker.clone());
        Self { broker, directory, records, changes, begun, running: Arc::default() }
    }

    /// Stores a replay; its work goes on behind the answer.
    ///
    /// # Errors
    /// If there is nothing that it could be, or the broker is away.
    pub async fn begin(&self, request: ReplayRequest) -> Result<Replay, CommandError> {
        let endpoint = self.directory.must_exist(&request.endpoint).await?;
        if !endpoint.enabled {
            let id = &endpoint.id;
            return Err(command_error::conflict(format!(
                "the endpoint {id} is disabled: enable it first, then its events can be delivered again"
            )));
        }
        if self.running.load(Ordering::Relaxed) >= AT_ONCE {
            return Err(command_error::conflict(format!(
                "{AT_ONCE} replays are running: wait until one has ended, or cancel one"
            )));
        }
        let of = check(request.of)?;
        if let ReplaySelection::DeadLetter { sequence } = of {
            self.must_be_a_letter(&endpoint.id, sequence).await?;
        }
        let record = self.made(&endpoint, of).await.map_err(command_error::of_broker)?;
        self.records.create(&record).await.map_err(command_error::of_broker)?;
        tracing::info!(
            endpoint.id = %endpoint.id,
            "the replay {} of {} events to webhook endpoint {} begins", record.replay.id, record.replay.total, endpoint.id
        );
        // Without room for it, the keeper finds it at its next look.
        let _ = self.begun.try_send(record.replay.id.clone());
        Ok(record.replay)
    }

    /// As it stands at this moment.
    ///
    /// # Errors
    /// If there is none of this name, or the broker is away.
    pub async fn progress(&self, id: &str) -> Result<Replay, CommandError> {
        let record = self.records.get(id).await.map_err(command_error::of_broker)?.ok_or_else(|| unknown(id))?;
        Ok(self.look(record).await.map_err(command_error::of_broker)?.replay)
    }

    /// Ends it: what was not delivered yet will not be. One that has ended stays as it is.
    ///
    /// # Errors
    /// If there is none of this name, or the broker is away.
    pub async fn cancel(&self, id: &str) -> Result<Replay, CommandError> {
        let record = self.records.get(id).await.map_err(command_error::of_broker)?.ok_or_else(|| unknown(id))?;
        // What it is about to be cancelled with.
        let stands = self.look(record).await.map_err(command_error::of_broker)?;
        let cancelled = self.write_cancelled(stands).await.map_err(command_error::of_broker)?;
        if cancelled.replay.state == ReplayState::Cancelled {
            // The keeper does it again: a dispatcher may be feeding it at this moment.
            self.sweep(&cancelled.replay).await.map_err(command_error::of_broker)?;
        }
        Ok(cancelled.replay)
    }

    /// One that has ended stays as it is.
    pub(super) async fn write_cancelled(&self, stands: ReplayRecord) -> anyhow::Result<ReplayRecord> {
        let (id, endpoint, waiting) = (&stands.replay.id, &stands.replay.endpoint, stands.replay.waiting);
        let changed = self
            .records
            .change(id, |record| {
                if record.replay.state == ReplayState::Running {
                    record.replay.state = ReplayState::Cancelled;
                    record.replay.waiting = waiting;
                    record.replay.ended_at = Some(clock::now_iso());
                }
            })
            .await?;
        tracing::info!(endpoint.id = %endpoint, "the replay {id} to webhook endpoint {endpoint} is cancelled");
        Ok(changed.unwrap_or(stands))
    }

    /// Removes what a cancelled replay has in the broker.
    pub(super) async fn sweep(&self, replay: &Replay) -> anyhow::Result<()> {
        source::close_everywhere(&self.broker, &replay.id).await;
        let retries =
            self.broker.jetstream.get_stream_no_info(stream::RETRIES).await.context("failed to name a stream")?;
        let filter = subject::retries_of_run(&replay.endpoint, &replay.id);
        retries.purge().filter(filter).await.context("failed to purge the retries of a replay")?;
        Ok(())
    }

    async fn made(&self, endpoint: &Endpoint, of: ReplaySelection) -> anyhow::Result<ReplayRecord> {
        let supply = ReplaySource::of(&of, endpoint)?;
        let last_sequence = match of {
            ReplaySelection::DeadLetter { sequence } => sequence,
            // What is stored from now on is delivered anyway.
            ReplaySelection::Since { .. } | ReplaySelection::DeadLetters => {
                let stream =
                    self.broker.jetstream.get_stream(supply.stream).await.context("failed to look at a stream")?;
                stream.cached_info().state.last_sequence
            }
        };
        let total = supply.total(&self.broker, last_sequence).await?;
        let replay = Replay {
            id: record::new_id(),
            endpoint: endpoint.id.clone(),
            of,
            state: ReplayState::Running,
            total,
            waiting: total,
            created_at: clock::now_iso(),
            ended_at: None,
        };
        Ok(ReplayRecord { replay, feed: CopyProgress { last_sequence, fed: false } })
    }

    async fn must_be_a_letter(&self, endpoint: &EndpointId, sequence: u64) -> Result<(), CommandError> {
        let asked = async {
            let letters = self
                .broker
                .jetstream
                .get_stream_no_info(stream::DEAD_LETTERS)
                .await
                .context("failed to name a stream")?;
            match letters.get_raw_message(sequence).await {
                Ok(letter) => Ok(subject::holds(&subject::dead_letters(endpoint), &letter.subject)),
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(false),
                Err(error) => Err(error).context("failed to read a dead letter"),
            }
        };
        if sequence > 0 && asked.await.map_err(command_error::of_broker)? {
            return Ok(());
        }
        Err(command_error::invalid(format!("the endpoint {endpoint} has no dead letter {sequence}")))
    }
}

/// What can be replayed: a time is one, and over.
fn check(of: ReplaySelection) -> Result<ReplaySelection, CommandError> {
    if let ReplaySelection::Since { since } = &of {
        let at = command_error::moment("since", since)?;
        if at > OffsetDateTime::now_utc() {
            return Err(command_error::invalid(format!("since is {since:?}, a time that is not over yet")));
        }
    }
    Ok(of)
}

fn unknown(id: &str) -> CommandError {
    command_error::invalid(format!("there is no replay {id:?}; one that has ended is kept for 7 days"))
}

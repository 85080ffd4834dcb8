//! Answers the commands about replays.

use crate::{
    command_error,
    endpoint::Endpoint,
    endpoints::{lookup::EndpointLookup, watcher::EndpointChange},
    jetstream::events_identity::created_of,
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
    webhook::{MOST_SELECTED, Replay, ReplayRequest, ReplaySelection, ReplayState},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

/// The most replays that run at the same time: every dispatcher checks each of them ten times a second.
const MAX_RUNNING: usize = 100;

/// Creates, reports and cancels replays.
#[derive(Clone)]
pub struct ReplayService {
    pub(super) broker: Broker,
    pub(super) endpoints: EndpointLookup,
    pub(super) records: ReplayStore,
    pub(super) changes: mpsc::Sender<EndpointChange>,
    pub(super) new_replays: mpsc::Sender<String>,
    pub(super) running: Arc<AtomicUsize>,
}

impl ReplayService {
    #[must_use]
    pub fn new(
        broker: Broker,
        endpoints: EndpointLookup,
        changes: mpsc::Sender<EndpointChange>,
        new_replays: mpsc::Sender<String>,
    ) -> Self {
        let records = ReplayStore::new(broker.clone());
        Self { broker, endpoints, records, changes, new_replays, running: Arc::default() }
    }

    /// Stores a replay. The copying goes on after the answer.
    ///
    /// # Errors
    /// If the request is not possible, or NATS is away.
    pub async fn begin(&self, request: ReplayRequest) -> Result<Replay, CommandError> {
        let endpoint = self.endpoints.require(&request.endpoint).await?;
        if !endpoint.enabled {
            let id = &endpoint.id;
            return Err(command_error::conflict(format!(
                "the endpoint {id} is disabled: enable it first, then its events can be delivered again"
            )));
        }
        if self.running.load(Ordering::Relaxed) >= MAX_RUNNING {
            return Err(command_error::conflict(format!(
                "{MAX_RUNNING} replays are running: wait until one has ended, or cancel one"
            )));
        }
        let of = check_selection(request.of)?;
        if let ReplaySelection::DeadLetter { sequence } = of {
            self.check_dead_letter(&endpoint.id, sequence).await?;
        }
        let record = match of {
            ReplaySelection::Events { sequences } => self.begin_selected(&endpoint, sequences).await,
            other => self.build_record(&endpoint, other).await,
        };
        let record = record.map_err(command_error::from_broker)?;
        self.records.create(&record).await.map_err(command_error::from_broker)?;
        tracing::info!(
            endpoint.id = %endpoint.id,
            "the replay {} of {} events to webhook endpoint {} begins", record.replay.id, record.replay.total, endpoint.id
        );
        // If there is no room, the scheduler finds the replay at its next check.
        let _ = self.new_replays.try_send(record.replay.id.clone());
        Ok(record.replay)
    }

    /// The replay's present state.
    ///
    /// # Errors
    /// If there is no such replay, or NATS is away.
    pub async fn progress(&self, id: &str) -> Result<Replay, CommandError> {
        let record =
            self.records.get(id).await.map_err(command_error::from_broker)?.ok_or_else(|| unknown_replay(id))?;
        Ok(self.update_progress(record).await.map_err(command_error::from_broker)?.replay)
    }

    /// Cancels a replay: what was not delivered yet will not be delivered. A replay that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such replay, or NATS is away.
    pub async fn cancel(&self, id: &str) -> Result<Replay, CommandError> {
        let record =
            self.records.get(id).await.map_err(command_error::from_broker)?.ok_or_else(|| unknown_replay(id))?;
        // The state with which the replay is cancelled.
        let current = self.update_progress(record).await.map_err(command_error::from_broker)?;
        let cancelled = self.write_cancelled(current).await.map_err(command_error::from_broker)?;
        if cancelled.replay.state == ReplayState::Cancelled {
            // The scheduler repeats this: a dispatcher may be copying the replay at this moment.
            self.clean_up(&cancelled.replay).await.map_err(command_error::from_broker)?;
        }
        Ok(cancelled.replay)
    }

    /// Marks a replay as cancelled. A replay that has ended stays as it is.
    pub(super) async fn write_cancelled(&self, current: ReplayRecord) -> anyhow::Result<ReplayRecord> {
        let (id, endpoint, waiting) = (&current.replay.id, &current.replay.endpoint, current.replay.waiting);
        let changed = self
            .records
            .update(id, |record| {
                if record.replay.state == ReplayState::Running {
                    record.replay.state = ReplayState::Cancelled;
                    record.replay.waiting = waiting;
                    record.replay.ended_at = Some(clock::iso(self.broker.clock.now()));
                }
            })
            .await?;
        tracing::info!(endpoint.id = %endpoint, "the replay {id} to webhook endpoint {endpoint} is cancelled");
        Ok(changed.unwrap_or(current))
    }

    /// Removes what a cancelled replay has left in NATS.
    pub(super) async fn clean_up(&self, replay: &Replay) -> anyhow::Result<()> {
        source::remove_consumers(&self.broker, &replay.id).await;
        let retries =
            self.broker.jetstream.get_stream_no_info(stream::RETRIES).await.context("failed to open a stream")?;
        let filter = subject::retries_of_run(&replay.endpoint, &replay.id);
        retries.purge().filter(filter).await.context("failed to purge the retries of a replay")?;
        Ok(())
    }

    async fn build_record(&self, endpoint: &Endpoint, of: ReplaySelection) -> anyhow::Result<ReplayRecord> {
        let source = ReplaySource::new(&of, endpoint)?;
        let stream = self.broker.jetstream.get_stream(source.stream).await;
        let stream = stream.context("failed to read the state of a stream")?;
        let info = stream.cached_info();
        let last_sequence = match of {
            ReplaySelection::DeadLetter { sequence } => sequence,
            // Later events are delivered anyway.
            ReplaySelection::Since { .. } | ReplaySelection::DeadLetters | ReplaySelection::Events { .. } => {
                info.state.last_sequence
            }
        };
        let stream_created = Some(created_of(info)?);
        let total = source.count_total(&self.broker, last_sequence).await?;
        let replay = Replay {
            id: record::new_id(),
            endpoint: endpoint.id.clone(),
            of,
            state: ReplayState::Running,
            total,
            waiting: total,
            created_at: clock::iso(self.broker.clock.now()),
            ended_at: None,
        };
        let progress = CopyProgress { last_sequence, stream_created, ..CopyProgress::default() };
        Ok(ReplayRecord { replay, progress })
    }

    async fn check_dead_letter(&self, endpoint: &EndpointId, sequence: u64) -> Result<(), CommandError> {
        let is_dead_letter = async {
            let letters = self
                .broker
                .jetstream
                .get_stream_no_info(stream::DEAD_LETTERS)
                .await
                .context("failed to open a stream")?;
            match letters.get_raw_message(sequence).await {
                Ok(letter) => Ok(subject::filter_matches(&subject::dead_letters(endpoint), &letter.subject)),
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(false),
                Err(error) => Err(error).context("failed to read a dead letter"),
            }
        };
        if sequence > 0 && is_dead_letter.await.map_err(command_error::from_broker)? {
            return Ok(());
        }
        Err(command_error::invalid(format!("the endpoint {endpoint} has no dead letter {sequence}")))
    }
}

/// Checks the requested time: it must be a time, and in the past. Checks the number of events.
fn check_selection(of: ReplaySelection) -> Result<ReplaySelection, CommandError> {
    if let ReplaySelection::Since { since } = &of {
        let at = command_error::parse_time("since", since)?;
        if at > clock::now() {
            return Err(command_error::invalid(format!("since is {since:?}, a time that is not over yet")));
        }
    }
    if let ReplaySelection::Events { sequences } = &of
        && !(1..=MOST_SELECTED).contains(&sequences.len())
    {
        return Err(command_error::invalid(format!("a replay can name 1 to {MOST_SELECTED} events")));
    }
    Ok(of)
}

fn unknown_replay(id: &str) -> CommandError {
    command_error::invalid(format!("there is no replay {id:?}; one that has ended is kept for 7 days"))
}

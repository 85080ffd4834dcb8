//! Events that are delivered again because somebody asked for it. A replay is retries that are due now.
//!
//! [`Replays`] is what the commands ask: it stores a replay in the bucket (`record`) and gives its answer. The [`Keeper`]
//! finds each one that runs and has a `feeder` move its events, from the consumer of `supply`, into RETRIES, never more
//! than `ahead` allows; `progress` counts what is left and writes the end. All the rest is what every delivery does:
//! the endpoint's retries are delivered under the same `webhook-id`, marked as a replay, with the endpoint's own retry
//! policy, and a dead letter that is delivered is removed.
//!
//! Every dispatcher feeds every replay: their consumer shares the work. One that dies has moved a message and not
//! acknowledged it at the worst, and RETRIES knows a message that is moved twice.

mod ahead;
mod feeder;
mod keeper;
mod progress;
mod record;
mod supply;

pub use keeper::Keeper;

use crate::{
    endpoints::{Change, Directory, Endpoint},
    refusal,
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
use record::{Feed, Record, Records};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use supply::Supply;
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// Replays that run at the same time: each is looked at ten times a second by every dispatcher.
const AT_ONCE: usize = 100;
/// Replays that begin and that the keeper has not heard of. It finds those that find no room.
const BEGUN: usize = 16;

/// What replays are asked of and made with.
#[derive(Clone)]
pub struct Replays {
    broker: Broker,
    directory: Directory,
    records: Records,
    changes: mpsc::Sender<Change>,
    begun: mpsc::Sender<String>,
    running: Arc<AtomicUsize>,
}

impl Replays {
    /// And who feeds them. `changes`: what a worker hears.
    #[must_use]
    pub fn open(broker: Broker, directory: Directory, changes: mpsc::Sender<Change>) -> (Self, Keeper) {
        let (begun, begins) = mpsc::channel(BEGUN);
        let records = Records::new(broker.clone());
        let replays = Self { broker, directory, records, changes, begun, running: Arc::default() };
        (replays.clone(), Keeper::new(replays, begins))
    }

    /// Stores a replay; its work goes on behind the answer.
    ///
    /// # Errors
    /// If there is nothing that it could be, or the broker is away.
    pub async fn begin(&self, request: ReplayRequest) -> Result<Replay, CommandError> {
        let endpoint = self.directory.must_exist(&request.endpoint).await?;
        if !endpoint.enabled {
            let id = &endpoint.id;
            return Err(refusal::conflict(format!(
                "the endpoint {id} is disabled: enable it first, then its events can be delivered again"
            )));
        }
        if self.running.load(Ordering::Relaxed) >= AT_ONCE {
            return Err(refusal::conflict(format!(
                "{AT_ONCE} replays are running: wait until one has ended, or cancel one"
            )));
        }
        let of = check(request.of)?;
        if let ReplaySelection::DeadLetter { sequence } = of {
            self.must_be_a_letter(&endpoint.id, sequence).await?;
        }
        let record = self.made(&endpoint, of).await.map_err(refusal::of_broker)?;
        self.records.create(&record).await.map_err(refusal::of_broker)?;
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
        let record = self.records.get(id).await.map_err(refusal::of_broker)?.ok_or_else(|| unknown(id))?;
        Ok(self.look(record).await.map_err(refusal::of_broker)?.replay)
    }

    /// Ends it: what was not delivered yet will not be. One that has ended stays as it is.
    ///
    /// # Errors
    /// If there is none of this name, or the broker is away.
    pub async fn cancel(&self, id: &str) -> Result<Replay, CommandError> {
        let record = self.records.get(id).await.map_err(refusal::of_broker)?.ok_or_else(|| unknown(id))?;
        // What it is about to be cancelled with.
        let stands = self.look(record).await.map_err(refusal::of_broker)?;
        let cancelled = self.write_cancelled(stands).await.map_err(refusal::of_broker)?;
        if cancelled.replay.state == ReplayState::Cancelled {
            // The keeper does it again: a dispatcher may be feeding it at this moment.
            self.sweep(&cancelled.replay).await.map_err(refusal::of_broker)?;
        }
        Ok(cancelled.replay)
    }

    /// One that has ended stays as it is.
    async fn write_cancelled(&self, stands: Record) -> anyhow::Result<Record> {
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
    async fn sweep(&self, replay: &Replay) -> anyhow::Result<()> {
        supply::close_everywhere(&self.broker, &replay.id).await;
        let retries =
            self.broker.jetstream.get_stream_no_info(stream::RETRIES).await.context("failed to name a stream")?;
        let filter = subject::retries_of_run(&replay.endpoint, &replay.id);
        retries.purge().filter(filter).await.context("failed to purge the retries of a replay")?;
        Ok(())
    }

    async fn made(&self, endpoint: &Endpoint, of: ReplaySelection) -> anyhow::Result<Record> {
        let supply = Supply::of(&of, endpoint)?;
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
        Ok(Record { replay, feed: Feed { last_sequence, fed: false } })
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
                Ok(letter) => Ok(subject::filter_matches(&subject::dead_letters(endpoint), &letter.subject)),
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(false),
                Err(error) => Err(error).context("failed to read a dead letter"),
            }
        };
        if sequence > 0 && asked.await.map_err(refusal::of_broker)? {
            return Ok(());
        }
        Err(refusal::invalid(format!("the endpoint {endpoint} has no dead letter {sequence}")))
    }
}

/// What can be replayed: a time is one, and over.
fn check(of: ReplaySelection) -> Result<ReplaySelection, CommandError> {
    if let ReplaySelection::Since { since } = &of {
        let at = refusal::moment("since", since)?;
        if at > OffsetDateTime::now_utc() {
            return Err(refusal::invalid(format!("since is {since:?}, a time that is not over yet")));
        }
    }
    Ok(of)
}

fn unknown(id: &str) -> CommandError {
    refusal::invalid(format!("there is no replay {id:?}; one that has ended is kept for 7 days"))
}

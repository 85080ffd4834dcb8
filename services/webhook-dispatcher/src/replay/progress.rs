//! How far a replay is, by NATS' own counts. The first dispatcher that sees the end writes it.

use crate::{
    jetstream::stream_counts,
    replay::{
        record::{CopyProgress, ReplayRecord},
        service::ReplayService,
        source::ReplaySource,
    },
};
use kurir_contract::{
    clock, stream, subject,
    webhook::{Replay, ReplaySelection, ReplayState},
};
use std::collections::HashSet;

impl ReplayService {
    /// Counts what is left of a replay, and stores the result if it has changed. A replay that has ended stays as it
    /// is.
    pub(super) async fn update_progress(&self, record: ReplayRecord) -> anyhow::Result<ReplayRecord> {
        if record.replay.state != ReplayState::Running {
            return Ok(record);
        }
        let uncopied = self.count_uncopied(&record).await?;
        // Counted after the uncopied events: what is copied in between is counted twice rather than not at all.
        let in_retries = self.count_in_retries(&record.replay).await?;
        // Read last: when an endpoint is deleted, its retries are removed after it, without being delivered.
        if self.endpoints.find(&record.replay.endpoint).await?.is_none()
            && (record.replay.endpoint.is_default() || self.endpoints.was_deleted(&record.replay.endpoint).await?)
        {
            return self.write_cancelled(record).await;
        }
        let id = record.replay.id.clone();
        let changed = self
            .records
            .update(&id, |record| {
                let (replay, copied) = (&mut record.replay, record.progress.copied);
                if replay.state != ReplayState::Running {
                    return;
                }
                // Another dispatcher may have finished the copying and removed the consumer that was counted.
                let waiting = if copied { in_retries } else { uncopied + in_retries };
                replay.waiting = waiting.min(replay.total);
                // An event leaves RETRIES only after it is recorded, or stored as a retry or a dead letter.
                if copied && uncopied == 0 && waiting == 0 {
                    replay.state = ReplayState::Done;
                    replay.ended_at = Some(clock::iso(self.broker.clock.now()));
                }
            })
            .await?;
        Ok(changed.unwrap_or(record))
    }

    async fn count_uncopied(&self, record: &ReplayRecord) -> anyhow::Result<u64> {
        if record.progress.copied {
            return Ok(0);
        }
        // Nothing is left to do for a deleted endpoint.
        let Some(endpoint) = self.endpoints.find(&record.replay.endpoint).await? else { return Ok(0) };
        let source = ReplaySource::new(&record.replay.of, &endpoint)?;
        let CopyProgress { last_sequence, copied_through, .. } = record.progress;
        match &record.replay.of {
            ReplaySelection::Since { .. } => {
                source.behind(copied_through).count_total(&self.broker, last_sequence).await
            }
            ReplaySelection::Events { sequences } => {
                Ok(sequences.iter().filter(|sequence| **sequence > copied_through).count() as u64)
            }
            ReplaySelection::DeadLetters | ReplaySelection::DeadLetter { .. } => {
                source.count_uncopied(&self.broker, &record.replay.id, last_sequence).await
            }
        }
    }

    /// Events in RETRIES, in delivery or between two attempts.
    async fn count_in_retries(&self, replay: &Replay) -> anyhow::Result<u64> {
        let filter = subject::retries_of_run(&replay.endpoint, &replay.id);
        let subjects = stream_counts::list_subjects(&self.broker, stream::RETRIES, &filter).await?;
        // While an attempt is being settled, its successor is stored, too.
        let events: HashSet<u64> =
            subjects.iter().filter_map(|subject| Some(subject::parse_retry(subject)?.sequence)).collect();
        Ok(events.len() as u64)
    }
}

//! How far a replay is, from the broker's own figures; the end is written by whoever sees it first.

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
    webhook::{Replay, ReplayState},
};
use std::collections::HashSet;

impl ReplayService {
    /// The replay as it stands now, written down if it is another than before. One that has ended stays as it is.
    pub(super) async fn look(&self, record: ReplayRecord) -> anyhow::Result<ReplayRecord> {
        if record.replay.state != ReplayState::Running {
            return Ok(record);
        }
        let unmoved = self.unmoved(&record).await?;
        // Asked after what is not moved: what is moved in between is counted twice, and never not at all.
        let in_retries = self.in_retries(&record.replay).await?;
        // And this last: what is deleted first is the endpoint, and then its retries, which are not delivered.
        if self.directory.endpoint(&record.replay.endpoint).await?.is_none() {
            return self.write_cancelled(record).await;
        }
        let id = record.replay.id.clone();
        let changed = self
            .records
            .change(&id, |record| {
                let ReplayRecord { replay, feed: CopyProgress { fed, .. } } = record;
                if replay.state != ReplayState::Running {
                    return;
                }
                // Another dispatcher may have been done with the moving, and have removed what was counted.
                let waiting = if *fed { in_retries } else { unmoved + in_retries };
                replay.waiting = waiting.min(replay.total);
                // Settled means: recorded, or kept as a retry or a dead letter, before it goes from RETRIES.
                if *fed && unmoved == 0 && waiting == 0 {
                    replay.state = ReplayState::Done;
                    replay.ended_at = Some(clock::now_iso());
                }
            })
            .await?;
        Ok(changed.unwrap_or(record))
    }

    async fn unmoved(&self, record: &ReplayRecord) -> anyhow::Result<u64> {
        if record.feed.fed {
            return Ok(0);
        }
        // Of an endpoint that was deleted nothing is left to do.
        let Some(endpoint) = self.directory.endpoint(&record.replay.endpoint).await? else { return Ok(0) };
        let supply = ReplaySource::of(&record.replay.of, &endpoint)?;
        supply.left(&self.broker, &record.replay.id, record.feed.last_sequence).await
    }

    /// Events that wait in RETRIES, in delivery or between two attempts.
    async fn in_retries(&self, replay: &Replay) -> anyhow::Result<u64> {
        let filter = subject::retries_of_run(&replay.endpoint, &replay.id);
        let subjects = stream_counts::subjects(&self.broker, stream::RETRIES, &filter).await?;
        // While an attempt is being settled, its successor lies beside it.
        let events: HashSet<u64> =
            subjects.iter().filter_map(|subject| Some(subject::parse_retry(subject)?.sequence)).collect();
        Ok(events.len() as u64)
    }
}

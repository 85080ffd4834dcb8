//! Feeds one replay until it has ended: moves its events into RETRIES as fast as they are delivered from there.
//!
//! Every step may be repeated, by this dispatcher or another one, after any crash: the record says what is true, the
//! consumer what was moved. A broker that is away is waited for.

use crate::{
    endpoint::Endpoint,
    endpoints::watcher::EndpointChange,
    jetstream::stream_counts,
    replay::{record::ReplayRecord, service::ReplayService, source::ReplaySource, window::CopyWindow},
};
use anyhow::Context as _;
use async_nats::jetstream::{
    consumer::{Consumer, pull},
    message::PublishMessage,
};
use futures::StreamExt as _;
use kurir_contract::{stream, subject, webhook::ReplayState};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at what was delivered meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so long the whole is looked at: the record, the endpoint, the progress.
const ROUND: Duration = Duration::from_secs(1);
/// Between two such looks when all is moved.
const FED_LOOK_EVERY: Duration = Duration::from_millis(500);
/// When all is moved, such looks may take a twentieth of the time: with 100,000 retries that wait they are long.
const SHARE: u32 = 20;
/// After trouble with the broker.
const PAUSE: Duration = Duration::from_secs(1);

impl ReplayService {
    /// Returns when it has ended.
    pub(super) async fn feed(&self, id: &str) {
        let mut ahead = CopyWindow::default();
        loop {
            match self.round(id, &mut ahead).await {
                Ok(Some(pause)) => tokio::time::sleep(pause).await,
                Ok(None) => return,
                Err(error) => {
                    if self.broker.is_connected() {
                        tracing::warn!("the replay {id} is taken up again: {error:#}");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Works on it for some time. Gives how long to wait before the next round; none: it has ended.
    async fn round(&self, id: &str, ahead: &mut CopyWindow) -> anyhow::Result<Option<Duration>> {
        let Some(record) = self.records.get(id).await? else { return Ok(None) };
        match record.replay.state {
            ReplayState::Running => {}
            ReplayState::Done => return Ok(None),
            ReplayState::Cancelled => {
                self.sweep(&record.replay).await?;
                return Ok(None);
            }
        }
        let Some(endpoint) = self.directory.endpoint(&record.replay.endpoint).await? else {
            tracing::info!("the endpoint of the replay {id} was deleted");
            self.write_cancelled(record).await?;
            return Ok(Some(LOOK_EVERY));
        };
        // The worker here may not know that it has retries, or has them again.
        let _ = self.changes.send(EndpointChange::Retries(endpoint.id.clone())).await;
        if !record.feed.fed {
            self.move_on(&record, &endpoint, ahead).await?;
        }
        let Some(record) = self.records.get(id).await? else { return Ok(None) };
        let began = Instant::now();
        let ReplayRecord { replay, feed } = self.look(record).await?;
        if replay.state == ReplayState::Done {
            let total = replay.total;
            tracing::info!(
                endpoint.id = %replay.endpoint,
                "the replay {id} of {total} events to webhook endpoint {} is done", replay.endpoint
            );
        }
        Ok(Some(if feed.fed { FED_LOOK_EVERY.max(began.elapsed() * SHARE) } else { LOOK_EVERY }))
    }

    /// Moves events for a [`ROUND`], or until there are none.
    async fn move_on(&self, record: &ReplayRecord, endpoint: &Endpoint, ahead: &mut CopyWindow) -> anyhow::Result<()> {
        let id = &record.replay.id;
        let supply = ReplaySource::of(&record.replay.of, endpoint)?;
        let consumer = supply.open(&self.broker, id).await?;
        // Read again, now that the consumer is there: another feeder may have been done and have removed the one before.
        match self.records.get(id).await? {
            Some(again) if again.replay.state == ReplayState::Running && !again.feed.fed => {}
            Some(_) | None => {
                supply.close(&self.broker, id).await;
                return Ok(());
            }
        }
        let due = subject::due_retries_of_run(&endpoint.id, id);
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            let room = ahead.room(stream_counts::subjects(&self.broker, stream::RETRIES, &due).await?.len());
            if room > 0 && self.move_some(record, endpoint, &supply, &consumer, room).await? {
                if supply.left(&self.broker, id, record.feed.last_sequence).await? == 0 {
                    // Written before the consumer goes: who finds none makes it again and looks here once more.
                    self.records.change(id, |record| record.feed.fed = true).await?;
                    supply.close(&self.broker, id).await;
                }
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whether there are no more at this moment.
    async fn move_some(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        supply: &ReplaySource,
        consumer: &Consumer<pull::Config>,
        room: usize,
    ) -> anyhow::Result<bool> {
        let mut messages = consumer.fetch().max_messages(room).messages().await.context("failed to take events")?;
        let (mut moving, mut taken, mut beyond) = (Vec::new(), 0, false);
        while let Some(message) = messages.next().await {
            let message = message.map_err(anyhow::Error::from_boxed).context("failed to take events")?;
            let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
            taken += 1;
            if sequence > record.feed.last_sequence {
                // Not part of it, and left as it is: acknowledged, it would count as one that was moved.
                beyond = true;
                continue;
            }
            match supply.read(&message, sequence) {
                Ok(again) => {
                    let retry = again.due(&endpoint.id, &record.replay.id);
                    let publish = PublishMessage::build().headers(retry.headers).payload(retry.payload);
                    let stored = self.broker.jetstream.send_publish(retry.subject, publish).await;
                    moving.push((message, Some(stored.context("failed to store a retry")?)));
                }
                Err(error) => {
                    tracing::warn!("message {sequence} of {} is left out of a replay: {error:#}", supply.stream);
                    moving.push((message, None));
                }
            }
        }
        for (message, stored) in moving {
            if let Some(stored) = stored {
                stored.await.context("failed to store a retry")?;
            }
            // Only now: a crash before it moves the message once more.
            message.ack().await.map_err(anyhow::Error::from_boxed).context("failed to acknowledge an event")?;
        }
        Ok(beyond || taken < room)
    }
}

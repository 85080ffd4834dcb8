//! Copies the events of one replay into RETRIES as fast as they are delivered from there, until the replay has ended.
//!
//! After any crash, this dispatcher or another one may repeat any step: the record says what is true, the consumer says
//! what was copied. A broker that is away is waited for.

use crate::{
    endpoint::Endpoint,
    endpoints::watcher::EndpointChange,
    jetstream::stream_counts,
    replay::{
        event_order::EventOrderCopy, record::ReplayRecord, service::ReplayService, source::ReplaySource,
        window::CopyWindow,
    },
};
use anyhow::Context as _;
use async_nats::jetstream::{
    consumer::{Consumer, pull},
    message::PublishMessage,
};
use futures::StreamExt as _;
use kurir_contract::{
    stream, subject,
    webhook::{ReplaySelection, ReplayState},
};
use std::time::Duration;
use tokio::time::Instant;

/// Between two checks of what was delivered meanwhile.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// After this time everything is checked again: the record, the endpoint, the progress.
const ROUND: Duration = Duration::from_secs(1);
/// Between two such checks when everything is copied.
const DONE_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// When everything is copied, such checks may take a twentieth of the time: with 100,000 waiting retries they are long.
const CHECK_TIME_SHARE: u32 = 20;
/// Wait after an error of NATS.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

impl ReplayService {
    /// Returns when the replay has ended.
    pub(super) async fn copy_until_done(&self, id: &str) {
        let (mut window, mut copy) = (CopyWindow::default(), EventOrderCopy::default());
        loop {
            match self.run_round(id, &mut window, &mut copy).await {
                Ok(Some(pause)) => tokio::time::sleep(pause).await,
                Ok(None) => return,
                Err(error) => {
                    if self.broker.is_connected() {
                        tracing::warn!("failed to copy the events of the replay {id}, which is tried again: {error:#}");
                    }
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Works on the replay for some time. Gives the wait before the next round; none if the replay has ended.
    async fn run_round(
        &self,
        id: &str,
        window: &mut CopyWindow,
        copy: &mut EventOrderCopy,
    ) -> anyhow::Result<Option<Duration>> {
        let Some(record) = self.records.get(id).await? else { return Ok(None) };
        match record.replay.state {
            ReplayState::Running => {}
            ReplayState::Done => return Ok(None),
            ReplayState::Cancelled => {
                self.clean_up(&record.replay).await?;
                return Ok(None);
            }
        }
        let Some(endpoint) = self.endpoints.find(&record.replay.endpoint).await? else {
            if !self.endpoints.was_deleted(&record.replay.endpoint).await? && !record.replay.endpoint.is_default() {
                // Its settings have vanished, and may come back.
                return Ok(Some(ERROR_PAUSE));
            }
            tracing::info!("the endpoint of the replay {id} was deleted");
            self.write_cancelled(record).await?;
            return Ok(Some(CHECK_INTERVAL));
        };
        // This dispatcher's worker may not know that the endpoint has retries.
        let _ = self.changes.send(EndpointChange::HasRetries(endpoint.id.clone())).await;
        if !record.progress.copied {
            match record.replay.of {
                ReplaySelection::DeadLetters | ReplaySelection::Since { .. } | ReplaySelection::Events { .. } => {
                    self.copy_in_event_order(&record, &endpoint, copy, window).await?;
                }
                ReplaySelection::DeadLetter { .. } => self.copy_for_round(&record, &endpoint, window).await?,
            }
        }
        let Some(record) = self.records.get(id).await? else { return Ok(None) };
        let began = Instant::now();
        let ReplayRecord { replay, progress } = self.update_progress(record).await?;
        if replay.state == ReplayState::Done {
            let total = replay.total;
            tracing::info!(
                endpoint.id = %replay.endpoint,
                "the replay {id} of {total} events to webhook endpoint {} is done", replay.endpoint
            );
        }
        Ok(Some(if progress.copied {
            DONE_CHECK_INTERVAL.max(began.elapsed() * CHECK_TIME_SHARE)
        } else {
            CHECK_INTERVAL
        }))
    }

    /// Copies events for one [`ROUND`], or until there are none.
    async fn copy_for_round(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        window: &mut CopyWindow,
    ) -> anyhow::Result<()> {
        let id = &record.replay.id;
        let source = ReplaySource::new(&record.replay.of, endpoint)?;
        let consumer = source.create_consumer(&self.broker, id).await?;
        // Read again, now that the consumer exists: another dispatcher may have finished and removed the consumer
        // before this one.
        match self.records.get(id).await? {
            Some(again) if again.replay.state == ReplayState::Running && !again.progress.copied => {}
            Some(_) | None => {
                source.remove_consumer(&self.broker, id).await;
                return Ok(());
            }
        }
        let due = subject::due_retries_of_run(&endpoint.id, id);
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            let room = window.room(stream_counts::list_subjects(&self.broker, stream::RETRIES, &due).await?.len());
            if room > 0 && self.copy_batch(record, endpoint, &source, &consumer, room).await? {
                if source.count_uncopied(&self.broker, id, record.progress.last_sequence).await? == 0 {
                    // Written before the consumer is removed: a dispatcher that finds no consumer creates it and reads
                    // this record again.
                    self.records.update(id, |record| record.progress.copied = true).await?;
                    source.remove_consumer(&self.broker, id).await;
                }
                return Ok(());
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        Ok(())
    }

    /// Copies up to `room` events. Whether there are no more at the moment.
    async fn copy_batch(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        source: &ReplaySource,
        consumer: &Consumer<pull::Config>,
        room: usize,
    ) -> anyhow::Result<bool> {
        let mut messages = consumer.fetch().max_messages(room).messages().await.context("failed to take events")?;
        let (mut copied_messages, mut taken, mut beyond) = (Vec::new(), 0, false);
        while let Some(message) = messages.next().await {
            let message = message.map_err(anyhow::Error::from_boxed).context("failed to take events")?;
            let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
            taken += 1;
            if sequence > record.progress.last_sequence {
                // Not part of the replay, and left unacknowledged: else it would count as copied.
                beyond = true;
                continue;
            }
            match source.read_entry(&message, sequence) {
                Ok(again) => {
                    let retry = again.due(&endpoint.id, &record.replay.id);
                    let publish = PublishMessage::build().headers(retry.headers).payload(retry.payload);
                    let stored = self.broker.jetstream.send_publish(retry.subject, publish).await;
                    copied_messages.push((message, Some(stored.context("failed to store a retry")?)));
                }
                Err(error) => {
                    tracing::warn!("left message {sequence} of {} out of a replay: {error:#}", source.stream);
                    copied_messages.push((message, None));
                }
            }
        }
        for (message, stored) in copied_messages {
            if let Some(stored) = stored {
                stored.await.context("failed to store a retry")?;
            }
            // Acknowledged only now: after an earlier crash the event is copied again.
            message.ack().await.map_err(anyhow::Error::from_boxed).context("failed to acknowledge an event")?;
        }
        Ok(beyond || taken < room)
    }
}

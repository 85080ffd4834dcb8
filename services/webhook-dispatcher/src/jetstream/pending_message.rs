//! A message that is not settled yet. Settling consumes it; a drop gives it back.
//!
//! Every [`PendingMessage`] is acknowledged, postponed, or dropped; after a drop NATS hands it out again at once. A
//! task that is aborted thus loses nothing.

use crate::jetstream::{
    ack_subject::AckSubject,
    recent_acks::{Claim, MessagePosition, RecentAcks},
};
use async_nats::{Client, Message, Subject, jetstream::AckKind};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};

/// Time between the last moment for settling and `ack_wait`, after which NATS gives the message to another dispatcher.
const ACK_WAIT_MARGIN: Duration = Duration::from_secs(1);

/// Tracks the worker's messages: which were acknowledged lately, and which must be given back.
pub struct AckTracker {
    client: Client,
    recent: Mutex<RecentAcks>,
    returned: mpsc::UnboundedSender<Subject>,
}

impl AckTracker {
    /// Creates a tracker. The channel yields the reply subjects of dropped messages, for the worker to give them back:
    /// a drop cannot wait.
    #[must_use]
    pub fn open(client: Client) -> (Arc<Self>, mpsc::UnboundedReceiver<Subject>) {
        // It holds no more than was requested, and requests have a limit.
        let (returned, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { client, recent: Mutex::default(), returned }), receiver)
    }

    fn recent(&self) -> MutexGuard<'_, RecentAcks> {
        // Nothing can panic while it holds this lock.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message of a consumer that is not settled yet.
pub struct PendingMessage {
    /// None once it is settled.
    reply: Option<Subject>,
    position: MessagePosition,
    redelivered: bool,
    settle_by: Instant,
    ack_wait: Duration,
    tracker: Arc<AckTracker>,
}

impl PendingMessage {
    /// Takes what settles a message out of it. None if it is no message of a consumer. `slot`: the endpoint's.
    #[must_use]
    pub fn take_from(message: &mut Message, tracker: &Arc<AckTracker>, slot: u64, ack_wait: Duration) -> Option<Self> {
        let AckSubject { sequence, stored_at, deliveries, .. } = AckSubject::parse(message.reply.as_ref()?)?;
        let position = MessagePosition { slot, sequence, stored_at };
        let settle_by = Instant::now() + ack_wait.saturating_sub(ACK_WAIT_MARGIN);
        let reply = message.reply.take();
        Some(Self { reply, position, redelivered: deliveries > 1, settle_by, ack_wait, tracker: Arc::clone(tracker) })
    }

    /// Registers the message, once. Says whether it is to be delivered.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.tracker.recent().claim(self.position)
    }

    /// The sequence in the message's stream.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.position.sequence
    }

    /// When the message's stream stored it.
    #[must_use]
    pub fn stored_at(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(self.position.stored_at.into()).ok()
    }

    /// Whether NATS has handed out the message before: it was not settled, or its acknowledgement was lost.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// The last moment for settling. Later, another dispatcher may have the message, too.
    #[must_use]
    pub fn settle_by(&self) -> Instant {
        self.settle_by
    }

    /// Asks NATS to wait for `ack_wait` again before it gives the message to another dispatcher.
    pub async fn extend(&mut self) {
        self.settle_by = Instant::now() + self.ack_wait.saturating_sub(ACK_WAIT_MARGIN);
        if let Some(reply) = self.reply.clone() {
            // Only a client that has ended refuses this.
            let _ = self.tracker.client.publish(reply, AckKind::Progress.into()).await;
        }
    }

    /// Acknowledges the message. Does not wait for an answer: if the acknowledgement is lost, the tracker recognizes
    /// the repeat.
    pub async fn acknowledge(mut self) {
        self.tracker.recent().record(self.position);
        self.send(AckKind::Ack).await;
    }

    /// Returns the message; NATS hands it out again after `delay`.
    pub async fn postpone(mut self, delay: Duration) {
        self.tracker.recent().release(self.position);
        self.send(AckKind::Nak(Some(delay))).await;
    }

    /// Drops a copy of a message that is in delivery. That delivery settles it.
    pub fn drop_copy(mut self) {
        self.reply = None;
    }

    /// Drops the message without giving it back: NATS hands it out again anyway.
    pub fn abandon(mut self) {
        self.tracker.recent().release(self.position);
        self.reply = None;
    }

    async fn send(&mut self, kind: AckKind) {
        if let Some(reply) = self.reply.take()
            && let Err(error) = self.tracker.client.publish(reply, kind.into()).await
        {
            // Only a client that has ended refuses this. NATS then waits for `ack_wait`.
            tracing::debug!("failed to settle a message: {error}");
        }
    }
}

impl Drop for PendingMessage {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.tracker.recent().release(self.position);
            // Closed only if the worker has ended. NATS then waits for `ack_wait`.
            let _ = self.tracker.returned.send(reply);
        }
    }
}

//! A message that is to be settled: by consuming it, or it is given back.
//!
//! Every [`PendingMessage`] ends in one of three ways: acknowledged, postponed, or dropped, and then the broker hands it out
//! again at once. A task that is aborted thus loses nothing.

use crate::jetstream::{
    ack_subject::AckSubject,
    recent_acks::{Claim, MessagePosition, RecentAcks},
};
use async_nats::{Client, Message, Subject, jetstream::AckKind};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Settling ends this long before the broker gives the message to somebody else.
const ACK_WAIT_MARGIN: Duration = Duration::from_secs(1);

/// Where the worker's messages lie: what was settled lately, and the way back for what was not.
pub struct AckTracker {
    client: Client,
    settled: Mutex<RecentAcks>,
    returned: mpsc::UnboundedSender<Subject>,
}

impl AckTracker {
    /// What is dropped unsettled comes out of the channel, for the worker to give it back: a drop cannot wait.
    #[must_use]
    pub fn open(client: Client) -> (Arc<Self>, mpsc::UnboundedReceiver<Subject>) {
        // It holds no more than what was asked for, and that has its bounds.
        let (returned, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { client, settled: Mutex::default(), returned }), receiver)
    }

    fn settled(&self) -> MutexGuard<'_, RecentAcks> {
        // Nothing under this lock can end half-way.
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message of a consumer that nobody has settled yet.
pub struct PendingMessage {
    /// Empty once it is settled.
    reply: Option<Subject>,
    position: MessagePosition,
    redelivered: bool,
    settle_by: Instant,
    tracker: Arc<AckTracker>,
}

impl PendingMessage {
    /// Takes what settles a message out of it. None if it is no message of a consumer. `station`: whose it is.
    #[must_use]
    pub fn of(message: &mut Message, tracker: &Arc<AckTracker>, slot: u64, ack_wait: Duration) -> Option<Self> {
        let AckSubject { sequence, stored_at, times, .. } = AckSubject::read(message.reply.as_ref()?)?;
        let position = MessagePosition { slot, sequence, stored_at };
        let settle_by = Instant::now() + ack_wait.saturating_sub(ACK_WAIT_MARGIN);
        let reply = message.reply.take();
        Some(Self { reply, position, redelivered: times > 1, settle_by, tracker: Arc::clone(tracker) })
    }

    /// Whether it is to be delivered; asked once.
    #[must_use]
    pub fn begin(&self) -> Claim {
        self.tracker.settled().take(self.position)
    }

    /// In the stream that it came from.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.position.sequence
    }

    /// Somebody had it before and did not settle it, or its acknowledgement was lost.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// When it must be settled, or somebody else has it too.
    #[must_use]
    pub fn settle_by(&self) -> Instant {
        self.settle_by
    }

    /// It is done with. Sent without waiting for an answer: a lost acknowledgement is a repeat, which is known here.
    pub async fn acknowledge(mut self) {
        self.tracker.settled().settle(self.position);
        self.send(AckKind::Ack).await;
    }

    /// It could not be settled now; the broker hands it out again after `delay`.
    pub async fn postpone(mut self, delay: Duration) {
        self.tracker.settled().forget(self.position);
        self.send(AckKind::Nak(Some(delay))).await;
    }

    /// It is a copy of one that is in delivery and will be settled by that.
    pub fn ignore(mut self) {
        self.reply = None;
    }

    /// It comes again by itself: what was in delivery is no more.
    pub fn leave(mut self) {
        self.tracker.settled().forget(self.position);
        self.reply = None;
    }

    async fn send(&mut self, kind: AckKind) {
        if let Some(reply) = self.reply.take()
            && let Err(error) = self.tracker.client.publish(reply, kind.into()).await
        {
            // Refused only by a client that is at its end; the broker waits for ack_wait then.
            tracing::debug!("failed to settle a message: {error}");
        }
    }
}

impl Drop for PendingMessage {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.tracker.settled().forget(self.position);
            // Closed only if the worker is gone: the broker waits for ack_wait then.
            let _ = self.tracker.returned.send(reply);
        }
    }
}

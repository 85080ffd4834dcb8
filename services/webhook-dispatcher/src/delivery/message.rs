//! A message that is to be settled: by consuming it, or it is given back.
//!
//! Every [`Pending`] ends in one of three ways: acknowledged, postponed, or dropped, and then the broker hands it out
//! again at once. A task that is aborted thus loses nothing.

use crate::endpoints::{
    Endpoint,
    settled::{Position, Settled, Taken},
};
use async_nats::{
    Message, Subject,
    jetstream::{self, AckKind},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Settling ends this long before the broker gives the message to somebody else.
const ACK_WAIT_MARGIN: Duration = Duration::from_secs(1);

/// Where a worker's messages lie: what was settled lately, and the way back for what was not.
pub struct Desk {
    jetstream: jetstream::Context,
    ack_wait: Duration,
    settled: Mutex<Settled>,
    returned: mpsc::Sender<Subject>,
}

impl Desk {
    /// What is dropped unsettled comes out of the channel, for the worker to give it back: a drop cannot wait.
    #[must_use]
    pub fn open(
        jetstream: jetstream::Context,
        endpoint: &Endpoint,
        slots: usize,
    ) -> (Arc<Self>, mpsc::Receiver<Subject>) {
        // At the end, all that is in delivery and all that was only fetched may come at once.
        let (returned, receiver) = mpsc::channel(2 * slots);
        (Arc::new(Self { jetstream, ack_wait: endpoint.ack_wait, settled: Mutex::default(), returned }), receiver)
    }

    fn settled(&self) -> MutexGuard<'_, Settled> {
        // Nothing under this lock can end half-way.
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message of a consumer that nobody has settled yet.
pub struct Pending {
    message: jetstream::Message,
    position: Position,
    redelivered: bool,
    taken: Instant,
    desk: Arc<Desk>,
    is_given_back_on_drop: bool,
}

impl Pending {
    /// None if it is no message of a consumer.
    #[must_use]
    pub fn new(message: Message, desk: &Arc<Desk>) -> Option<Self> {
        let message = jetstream::Message { message, context: desk.jetstream.clone() };
        let info = message.info().ok()?;
        let position =
            Position { sequence: info.stream_sequence, stored_at: info.published.unix_timestamp_nanos() as i64 };
        let redelivered = info.delivered > 1;
        let (taken, desk) = (Instant::now(), Arc::clone(desk));
        Some(Self { message, position, redelivered, taken, desk, is_given_back_on_drop: true })
    }

    /// Whether it is to be delivered; asked once.
    #[must_use]
    pub fn begin(&self) -> Taken {
        self.desk.settled().take(self.position)
    }

    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
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
        self.taken + self.desk.ack_wait.saturating_sub(ACK_WAIT_MARGIN)
    }

    /// It is done with. Sent without waiting for an answer: a lost acknowledgement is a repeat, which is known here.
    pub async fn acknowledge(mut self) {
        self.is_given_back_on_drop = false;
        self.desk.settled().settle(self.position);
        self.send(AckKind::Ack).await;
    }

    /// It could not be settled now; the broker hands it out again after `delay`.
    pub async fn postpone(mut self, delay: Duration) {
        self.is_given_back_on_drop = false;
        self.desk.settled().forget(self.position);
        self.send(AckKind::Nak(Some(delay))).await;
    }

    /// It is a copy of one that is in delivery and will be settled by that.
    pub fn ignore(mut self) {
        self.is_given_back_on_drop = false;
    }

    async fn send(&self, kind: AckKind) {
        if let Err(error) = self.message.ack_with(kind).await {
            // Refused only by a client that is at its end; the broker waits for ack_wait then.
            tracing::debug!("failed to settle a message: {error}");
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_given_back_on_drop {
            self.desk.settled().forget(self.position);
            if let Some(reply) = self.message.message.reply.take() {
                // Full or closed only if the worker is gone: the broker waits for ack_wait then.
                let _ = self.desk.returned.try_send(reply);
            }
        }
    }
}

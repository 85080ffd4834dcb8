//! Publishes messages for which the client calls no hook: those of channels, and those recovered from the phone.
//!
//! They are acknowledged before they arrive here. So they are published for as long as it takes, and lost if the
//! gateway ends first.

use super::MessageMapper;
use crate::{
    byte_budget::{ByteBudget, ByteReservation},
    publish::EventPublisher,
    session::SessionView,
};
use buffa::Message as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use wacore::types::events::{InboundMessage, MessageBatch};
use whatsapp_rust::Client;

/// Batches that wait for the broker. A few come a minute. When the queue is full the newest are dropped, and the log
/// says so.
const WAITING: usize = 1024;
/// Their bytes: a message may have a megabyte.
const WAITING_BYTES: usize = 64_000_000;
/// Time for one message, after which the log says that it still waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sending end, for the client's listener.
#[derive(Clone)]
pub struct UnhookedQueue {
    batches: mpsc::Sender<WaitingBatch>,
    bytes: ByteBudget,
}

struct WaitingBatch {
    messages: Arc<[InboundMessage]>,
    /// Until its messages are published.
    _bytes: ByteReservation,
}

/// The receiving end, which keeps the order.
pub struct UnhookedWorker(mpsc::Receiver<WaitingBatch>);

#[must_use]
pub fn unhooked_channel() -> (UnhookedQueue, UnhookedWorker) {
    let (batches, receiver) = mpsc::channel(WAITING);
    (UnhookedQueue { batches, bytes: ByteBudget::new(WAITING_BYTES) }, UnhookedWorker(receiver))
}

impl UnhookedQueue {
    pub fn push(&self, batch: &MessageBatch) {
        let size = batch.messages.iter().map(|message| message.message.encode_to_vec().len()).sum();
        let waits = self.bytes.reserve(size).is_some_and(|bytes| {
            self.batches.try_send(WaitingBatch { messages: Arc::clone(&batch.messages), _bytes: bytes }).is_ok()
        });
        if !waits {
            tracing::error!("{} message(s) were lost: too many wait for NATS", batch.messages.len());
        }
    }
}

impl UnhookedWorker {
    /// Publishes the messages in order until the shutdown, however long the broker is away.
    ///
    /// # Errors
    /// Never; the type is the supervisor's.
    pub async fn run(
        mut self,
        inbound: MessageMapper,
        publisher: EventPublisher,
        mut view: watch::Receiver<SessionView>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let publish_all = async {
            while let Some(batch) = self.0.recv().await {
                // The client's store knows the addresses. Between two connections there is no client for a moment.
                let client =
                    view.wait_for(|view| view.client.is_some()).await.ok().and_then(|view| view.client.clone());
                let Some(client) = client else { return };
                for message in &*batch.messages {
                    publish_message(&inbound, &publisher, &client, message).await;
                }
            }
        };
        tokio::select! {
            () = publish_all => {}
            () = shutdown.cancelled() => {}
        }
        shutdown.cancelled().await;
        Ok(())
    }
}

async fn publish_message(
    inbound: &MessageMapper,
    publisher: &EventPublisher,
    client: &Arc<Client>,
    message: &InboundMessage,
) {
    match inbound.map_inbound(client, message).await {
        Ok(received) => {
            let (event, owed) = received.into_event(&inbound.session, inbound.file_deadline()).await;
            while let Err(error) = publisher.publish(&event, Instant::now() + PATIENCE).await {
                if error.is_permanent() {
                    // Those behind it must not wait forever.
                    tracing::error!(event.id = %event.id, "a message was lost, which WhatsApp does not send again: {error}");
                    return;
                }
                tracing::warn!(event.id = %event.id, "a message still waits: {error}");
            }
            if let Some(owed) = owed {
                owed.event_stored();
            }
        }
        Err(why) => tracing::debug!(message.id = message.info.id, "no event for a message: {why}"),
    }
}

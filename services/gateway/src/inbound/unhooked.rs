//! Messages that the client gives without asking whether they are stored: of channels, and such as the phone recovered.
//!
//! They are acknowledged before they come here, so they are published with patience, and lost if the gateway dies first.

use super::MessageMapper;
use crate::{publish::EventPublisher, session::SessionView};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use wacore::types::events::{InboundMessage, MessageBatch};
use whatsapp_rust::Client;

/// Batches that wait for the broker. Beyond it the newest are dropped, and the log says so: they come a few a minute.
const WAITING: usize = 1024;
/// One message is given this long before the log tells that it still waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the client's listener puts them.
#[derive(Clone)]
pub struct UnhookedQueue(mpsc::Sender<Arc<[InboundMessage]>>);

/// Where they are taken from, in order.
pub struct UnhookedWorker(mpsc::Receiver<Arc<[InboundMessage]>>);

#[must_use]
pub fn unhooked_channel() -> (UnhookedQueue, UnhookedWorker) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (UnhookedQueue(sender), UnhookedWorker(receiver))
}

impl UnhookedQueue {
    pub fn push(&self, batch: &MessageBatch) {
        if self.0.try_send(Arc::clone(&batch.messages)).is_err() {
            tracing::error!("{} message(s) were lost: too many wait for NATS", batch.messages.len());
        }
    }
}

impl UnhookedWorker {
    /// Publishes them in order, however long the broker is away, until the shutdown.
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
                // The client's store knows the addresses; between two lives there is none for a moment.
                let client =
                    view.wait_for(|view| view.client.is_some()).await.ok().and_then(|view| view.client.clone());
                let Some(client) = client else { return };
                for message in &*batch {
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
                tracing::warn!(event.id = %event.id, "a message still waits: {error}");
            }
            if let Some(owed) = owed {
                owed.event_stored();
            }
        }
        Err(why) => tracing::debug!(message.id = message.info.id, "no event for a message: {why}"),
    }
}

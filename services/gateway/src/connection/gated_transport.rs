//! A gate between the socket and the client. It closes before the connection ends, so that no message is half read
//! then.
//!
//! The client keeps its keys in a cache and writes all of it when it closes. A message that is being decrypted at that
//! moment has moved its chat's keys on and is not in the client's store yet. WhatsApp sends it again, the client takes
//! it for a repeat and acknowledges it, and it is lost. This happened in one of two runs in which NATS was killed six
//! times within 20 s. So no more data is let in first, and the messages inside have time to reach the store.

use super::sockets::WhatsappSockets;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use whatsapp_rust::{
    async_channel::{self, Receiver, Sender},
    async_trait,
    transport::{Transport, TransportEvent, TransportFactory},
};

/// The client decrypts and stores one message in a few milliseconds; a busy machine needs this long.
pub const SETTLED_WITHIN: Duration = Duration::from_millis(500);
/// As many events as the client's own transport holds.
const EVENTS: usize = 1024;

/// Makes connections whose incoming side can be closed.
pub struct GatedTransport {
    pub sockets: WhatsappSockets,
    /// Cancelled when no more data is let in.
    pub closed: CancellationToken,
}

#[async_trait]
impl TransportFactory for GatedTransport {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        let (transport, outside) = self.sockets.connect().await?;
        let (inside, events) = async_channel::bounded(EVENTS);
        // The task ends with the connection, holds nothing else and cannot fail.
        tokio::spawn(forward_events(outside, inside, self.closed.clone()));
        Ok((transport, events))
    }
}

async fn forward_events(outside: Receiver<TransportEvent>, inside: Sender<TransportEvent>, closed: CancellationToken) {
    while let Ok(event) = outside.recv().await {
        let is_data = matches!(event, TransportEvent::DataReceived(_));
        if is_data && closed.is_cancelled() {
            // WhatsApp gets no receipt for the data and sends it again.
            continue;
        }
        if inside.send(event).await.is_err() {
            return;
        }
    }
}

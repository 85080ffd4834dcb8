//! What the task of a session waits for.

use crate::{connection::client::ClientConnection, publish::EventPublisher};
use std::future::pending;
use tokio::time::{Instant, sleep_until};

/// Waits until the current client's run loop has ended; forever without a client.
pub(super) async fn wait_closed(connection: &mut Option<ClientConnection>) {
    match connection {
        Some(connection) => connection.wait_closed().await,
        None => pending().await,
    }
}

/// Waits until NATS stores events again.
pub(super) async fn wait_stored(publisher: &EventPublisher) {
    publisher.storage.watch().wait_solved().await;
}

pub(super) async fn sleep_until_some(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

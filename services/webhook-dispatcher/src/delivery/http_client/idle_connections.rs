//! HTTP/1 connections that wait for the next request, each for a few seconds.

use crate::delivery::http_client::http1::{Http1Connection, IDLE_TIMEOUT};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::time::{Instant, sleep_until};

/// The idle connections to one receiver. They are closed when this is dropped.
#[derive(Default)]
pub struct IdleConnections(Arc<Mutex<IdleState>>);

#[derive(Default)]
struct IdleState {
    /// Each with the time since when it is idle, the newest last.
    connections: Vec<(Instant, Http1Connection)>,
    /// Whether a task closes those that nobody takes.
    is_swept: bool,
}

impl IdleConnections {
    /// The connection that was used last, if it can be used again. Those that cannot are closed.
    pub fn take(&self, generation: u64) -> Option<Http1Connection> {
        loop {
            let (since, mut connection) = lock(&self.0).connections.pop()?;
            if since.elapsed() < IDLE_TIMEOUT && connection.generation == generation && !connection.is_closed() {
                return Some(connection);
            }
        }
    }

    pub fn put(&self, connection: Http1Connection) {
        let mut state = lock(&self.0);
        state.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut state.is_swept, true) {
            // It ends soon after the last connection, and holds no event.
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes each connection at its time, until there is none.
async fn sweep(state: Weak<Mutex<IdleState>>) {
    let mut next = Some(Instant::now() + IDLE_TIMEOUT);
    while let Some(at) = next {
        sleep_until(at).await;
        next = close_expired(&state);
    }
}

/// When the next connection will have been idle for too long; none if there is none.
fn close_expired(state: &Weak<Mutex<IdleState>>) -> Option<Instant> {
    let state = state.upgrade()?;
    let mut state = lock(&state);
    let expired = state.connections.iter().take_while(|(since, _)| since.elapsed() >= IDLE_TIMEOUT).count();
    state.connections.drain(..expired);
    let next = state.connections.first().map(|(since, _)| *since + IDLE_TIMEOUT);
    state.is_swept = next.is_some();
    next
}

fn lock(state: &Mutex<IdleState>) -> MutexGuard<'_, IdleState> {
    // Nothing can panic while it holds this lock.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

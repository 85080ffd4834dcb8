//! Publishes `connection.status`, one event for each change, in order, and a `session.…` event after a change that is
//! an end.
//!
//! The events wait while the broker is away. When there are too many, the oldest are dropped: the current state counts.

use super::state::SessionState;
use crate::publish::{EventPublisher, OutgoingEvent};
use kurir_contract::{
    clock,
    event::{ConnectionStatus, EventId, EventType, SessionEnded},
    session::{SessionId, SessionStatus},
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Events that wait for the broker. Nobody needs a day of old QR codes.
const WAITING: usize = 64;
/// Time for one try to publish. After it the log says that the event still waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for the last events when the gateway stops.
const LAST_CHANGES: Duration = Duration::from_secs(2);

/// The events that wait. Clones share them.
#[derive(Clone, Default)]
pub struct StatusQueue(Arc<PendingEvents>);

#[derive(Default)]
struct PendingEvents {
    events: Mutex<VecDeque<OutgoingEvent>>,
    more: Notify,
}

impl StatusQueue {
    /// Adds the event of the session's new state.
    pub fn push_state(&self, session: &SessionId, state: &SessionState) {
        let at = clock::now();
        let data = ConnectionStatus {
            is_connected: state.status() == SessionStatus::Connected,
            qr_code: state.qr_code().map(str::to_owned),
            timestamp: clock::iso(at),
            session: session.clone(),
            status: state.status(),
            reason: state.reason().map(str::to_owned),
            until: state.until().map(clock::iso),
        };
        // The event has no message id, so its own id is made here, once.
        let until = data.until.clone();
        self.push(OutgoingEvent::new(session, EventType::CONNECTION_STATUS, EventId::random(), at, data));
        if let Some(kind) = SessionEnded::event_type(state.status()) {
            let event_id = EventId::random();
            let data = SessionEnded {
                reason: state.reason().map(str::to_owned),
                until,
                timestamp: clock::iso(at),
                session: session.clone(),
                event_id: event_id.clone(),
            };
            self.push(OutgoingEvent::new(session, kind, event_id, at, data));
        }
        self.0.more.notify_one();
    }

    /// Adds an event that is no change of the state. `data` makes its content from its id and its time.
    pub fn push_event<D: Serialize>(
        &self,
        session: &SessionId,
        kind: EventType,
        data: impl FnOnce(EventId, String) -> D,
    ) {
        let (at, event_id) = (clock::now(), EventId::random());
        let data = data(event_id.clone(), clock::iso(at));
        self.push(OutgoingEvent::new(session, kind, event_id, at, data));
        self.0.more.notify_one();
    }

    fn push(&self, event: OutgoingEvent) {
        let mut events = self.lock();
        if events.len() == WAITING {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// Publishes the events until the shutdown, and those that are there then.
    ///
    /// # Errors
    /// Never; the type is the supervisor's.
    pub async fn run(self, publisher: EventPublisher, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = self.publish_all(&publisher) => {}
            () = shutdown.cancelled() => {}
        }
        let last_ones = async {
            while let Some(event) = self.oldest() {
                if publisher.publish(&event, Instant::now() + LAST_CHANGES).await.is_err() {
                    break;
                }
                self.remove(&event);
            }
        };
        // A subscriber sees the session's state at the next start.
        let _ = tokio::time::timeout(LAST_CHANGES, last_ones).await;
        Ok(())
    }

    async fn publish_all(&self, publisher: &EventPublisher) {
        loop {
            let Some(event) = self.oldest() else {
                self.0.more.notified().await;
                continue;
            };
            match publisher.publish(&event, Instant::now() + PATIENCE).await {
                Ok(()) => self.remove(&event),
                Err(error) => tracing::warn!(event.id = %event.id, "an event about the session still waits: {error}"),
            }
        }
    }

    fn oldest(&self) -> Option<OutgoingEvent> {
        self.lock().front().cloned()
    }

    /// Called after the event was stored. By then newer events may have pushed it out.
    fn remove(&self, event: &OutgoingEvent) {
        let mut events = self.lock();
        if events.front().is_some_and(|oldest| oldest.id == event.id) {
            events.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<OutgoingEvent>> {
        // Each change is one call, so a panic elsewhere left the queue whole.
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::passkey::PasskeyCeremony, *};

    #[test]
    fn too_many_changes_supersede_the_oldest() {
        let changes = StatusQueue::default();
        for n in 0..WAITING + 3 {
            changes.push_state(
                &SessionId::default(),
                &SessionState::Pairing { qr_code: Some(n.to_string()), passkey: PasskeyCeremony::None },
            );
        }
        assert_eq!(changes.lock().len(), WAITING);
        let oldest = changes.oldest().expect("there are many");
        assert!(format!("{oldest:?}").contains(r#"qrCode\":\"3\""#), "{oldest:?}");
        changes.remove(&oldest);
        changes.remove(&oldest);
        assert_eq!(changes.lock().len(), WAITING - 1);
    }
}

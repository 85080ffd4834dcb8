//! `connection.status`, one event for each change, in order; after it `session.…`, if the change is an end.
//!
//! While the broker is away they wait. Of more than a few the oldest are superseded: what counts is where the session
//! stands.

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
use time::OffsetDateTime;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Changes that wait for the broker: a day of new QR codes is of no use to anybody.
const WAITING: usize = 64;
/// One try to publish, after which the log tells that it still waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the last changes may take when the gateway stops.
const LAST_CHANGES: Duration = Duration::from_secs(2);

/// The changes that wait.
#[derive(Clone, Default)]
pub struct StatusQueue(Arc<PendingEvents>);

#[derive(Default)]
struct PendingEvents {
    events: Mutex<VecDeque<OutgoingEvent>>,
    more: Notify,
}

impl StatusQueue {
    /// Adds the event of a state that the session now has.
    pub fn push_state(&self, session: &SessionId, state: &SessionState) {
        let at = OffsetDateTime::now_utc();
        let data = ConnectionStatus {
            is_connected: state.status() == SessionStatus::Connected,
            qr_code: state.qr_code().map(str::to_owned),
            timestamp: clock::iso(at),
            session: session.clone(),
            status: state.status(),
            reason: state.reason().map(str::to_owned),
            until: state.until().map(clock::iso),
        };
        // It has no message's id, so its own is made here, once.
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

    /// Adds an event that is no change of the state; `data` makes it of its id and its time.
    pub fn push_event<D: Serialize>(
        &self,
        session: &SessionId,
        kind: EventType,
        data: impl FnOnce(EventId, String) -> D,
    ) {
        let (at, event_id) = (OffsetDateTime::now_utc(), EventId::random());
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

    /// Publishes them, until the shutdown and what was there at it.
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
        // Whoever subscribed sees at the next start where the session stands.
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
                Err(error) => tracing::warn!(event.id = %event.id, "a change of the connection still waits: {error}"),
            }
        }
    }

    fn oldest(&self) -> Option<OutgoingEvent> {
        self.lock().front().cloned()
    }

    /// Removed only after it was stored; by then newer ones may have superseded it.
    fn remove(&self, event: &OutgoingEvent) {
        let mut events = self.lock();
        if events.front().is_some_and(|oldest| oldest.id == event.id) {
            events.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<OutgoingEvent>> {
        // A panic while it was held left the queue as it was: each change is one call.
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

//! The event that a delivery is about, as EVENTS holds it.

use async_nats::{HeaderMap, Subject, jetstream::message::StreamMessage};
use bytes::Bytes;
use http::header::HeaderValue;
use kurir_contract::{
    endpoint::EndpointId,
    event::{EventId, EventType},
    header,
    session::SessionId,
    subject,
};
use time::OffsetDateTime;

/// An event, and what its delivery needs to know of it.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub id: EventId,
    pub kind: EventType,
    pub subject: Subject,
    /// Sequence in EVENTS.
    pub sequence: u64,
    /// The stored body, byte for byte.
    pub payload: Bytes,
    /// The endpoint that must not receive the event.
    pub not_for: Option<String>,
    /// The only endpoint that may receive the event.
    pub only_for: Option<String>,
    /// The inbox that waits for the end of the delivery.
    pub report_to: Option<String>,
    /// Whether the inbox wants to know of failed attempts, too.
    pub reports_attempts: bool,
    pub traceparent: Option<String>,
    pub headers: Option<HeaderMap>,
    /// When EVENTS stored it, if that is known.
    pub stored_at: Option<OffsetDateTime>,
}

impl StoredEvent {
    /// Reads a message of EVENTS as an event. A foreign publisher's message is an event, too: an id or a type that is
    /// missing or cannot be sent on is replaced.
    #[must_use]
    pub fn new(subject: Subject, sequence: u64, headers: Option<HeaderMap>, payload: Bytes) -> Self {
        let (mut id, mut not_for, mut only_for, mut report_to, mut traceparent) = (None, None, None, None, None);
        let mut reports_attempts = false;
        // One walk over the two or three headers costs less than a lookup by name for each field.
        for (name, values) in headers.iter().flat_map(HeaderMap::iter) {
            let Some(value) = values.first().map(async_nats::HeaderValue::as_str) else { continue };
            match name.as_ref() {
                header::EVENT_ID if is_usable(value) => id = Some(EventId::from_header(value)),
                header::NOT_FOR => not_for = Some(value.to_owned()),
                header::ONLY_FOR => only_for = Some(value.to_owned()),
                // Only an inbox is accepted: a header must not make the dispatcher publish to a subject that the
                // event's publisher may not write to.
                header::REPORT_TO
                    if value.split_once('.').is_some_and(|(prefix, _)| subject::is_inbox_prefix(prefix)) =>
                {
                    report_to = Some(value.to_owned())
                }
                header::REPORT_ATTEMPTS => reports_attempts = true,
                header::TRACEPARENT => traceparent = Some(value.to_owned()),
                _ => {}
            }
        }
        let (id, kind) = (id.unwrap_or_else(|| EventId::from_sequence(sequence)), kind_of(&subject));
        let stored_at = None;
        Self {
            id,
            kind,
            subject,
            sequence,
            payload,
            not_for,
            only_for,
            report_to,
            reports_attempts,
            traceparent,
            headers,
            stored_at,
        }
    }

    #[must_use]
    pub fn is_not_for(&self, endpoint: &EndpointId) -> bool {
        self.not_for.as_deref() == Some(endpoint.as_str())
            || self.only_for.as_deref().is_some_and(|only| only != endpoint.as_str())
    }

    /// Whether the event was made for this endpoint alone. Then the endpoint's filters do not count.
    #[must_use]
    pub fn is_only_for(&self, endpoint: &EndpointId) -> bool {
        self.only_for.as_deref() == Some(endpoint.as_str())
    }
}

/// Whether the id can be the value of an HTTP header.
fn is_usable(id: &str) -> bool {
    !id.is_empty() && HeaderValue::from_str(id).is_ok()
}

impl From<StreamMessage> for StoredEvent {
    fn from(stored: StreamMessage) -> Self {
        let event = Self::new(stored.subject, stored.sequence, Some(stored.headers), stored.payload);
        Self { stored_at: Some(stored.time), ..event }
    }
}

/// The event type that a subject names.
#[must_use]
pub fn kind_of(subject: &str) -> EventType {
    subject::parse_event(subject).map_or(EventType::UNKNOWN, |(_, kind)| kind)
}

/// The session that a subject names, or the default session.
#[must_use]
pub fn session_of(subject: &str) -> SessionId {
    subject::parse_event(subject).map_or_else(SessionId::default, |(session, _)| session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, headers: &[(&str, &str)]) -> StoredEvent {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        StoredEvent::new(subject.into(), 7, Some(map), Bytes::from_static(b"{}"))
    }

    #[test]
    fn an_event_without_a_usable_id_is_named_by_its_sequence() {
        for (headers, expected) in [
            (&[][..], "evt_seq7"),
            (&[(header::EVENT_ID, "")], "evt_seq7"),
            (&[(header::EVENT_ID, "evt_1")], "evt_1"),
            (&[(header::EVENT_ID, "of another program")], "of another program"),
        ] {
            assert_eq!(event("whatsapp.events.default.test", headers).id.as_str(), expected);
        }
    }

    #[test]
    fn a_subject_that_names_no_type_is_delivered_as_unknown() {
        assert_eq!(event("whatsapp.events.default.a.b", &[]).kind.as_str(), "a.b");
        assert_eq!(event("whatsapp.events.default", &[]).kind, EventType::UNKNOWN);
        assert_eq!(session_of("whatsapp.events.sales.a.b").as_str(), "sales");
        assert_eq!(session_of("whatsapp.events.a!.b"), SessionId::default());
    }

    #[test]
    fn only_an_inbox_is_reported_to() {
        let to = |inbox| event("whatsapp.events.default.test", &[(header::REPORT_TO, inbox)]);
        for inbox in ["_INBOX.abc", "_INBOX_api.abc"] {
            assert_eq!(to(inbox).report_to.as_deref(), Some(inbox));
        }
        for foreign in ["whatsapp.commands.default.logout", "$JS.API.STREAM.PURGE.EVENTS", "_INBOX", "_INBOXES.abc", ""]
        {
            assert_eq!(to(foreign).report_to, None, "{foreign}");
        }
    }
}

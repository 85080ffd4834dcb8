//! The event that a delivery is about, as EVENTS holds it.

use async_nats::{HeaderMap, jetstream::message::StreamMessage};
use bytes::Bytes;
use kurir_contract::{
    endpoint::EndpointId,
    event::{EventId, EventType},
    header,
    session::SessionId,
    subject,
};
use reqwest::header::HeaderValue;

/// An event and all that its delivery needs to know.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: EventId,
    pub kind: EventType,
    pub subject: String,
    /// In EVENTS.
    pub sequence: u64,
    /// The body, byte for byte.
    pub payload: Bytes,
    headers: Option<HeaderMap>,
}

impl Event {
    /// Every message in EVENTS is one, also what a foreign publisher put there: an id or a type that is missing or
    /// cannot travel on is replaced, never a reason not to deliver.
    #[must_use]
    pub fn new(subject: &str, sequence: u64, headers: Option<HeaderMap>, payload: Bytes) -> Self {
        let id = headers
            .as_ref()
            .and_then(|headers| headers.get(header::EVENT_ID))
            .map(async_nats::HeaderValue::as_str)
            .filter(|id| !id.is_empty() && HeaderValue::from_str(id).is_ok())
            .map_or_else(|| EventId::of_sequence(sequence), EventId::from_header);
        Self { id, kind: kind_of(subject), subject: subject.to_owned(), sequence, payload, headers }
    }

    /// The endpoint that must not have it.
    #[must_use]
    pub fn is_not_for(&self, endpoint: &EndpointId) -> bool {
        self.header(header::NOT_FOR) == Some(endpoint.as_str())
    }

    /// The inbox that waits for the end of its delivery. Nothing but an inbox: a header must not make us write into
    /// any subject that its publisher could not write to himself.
    #[must_use]
    pub fn report_to(&self) -> Option<&str> {
        self.header(header::REPORT_TO).filter(|inbox| inbox.starts_with("_INBOX."))
    }

    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.header(header::TRACEPARENT)
    }

    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_ref()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
    }
}

impl From<StreamMessage> for Event {
    fn from(stored: StreamMessage) -> Self {
        Self::new(&stored.subject, stored.sequence, Some(stored.headers), stored.payload)
    }
}

/// The type that an event's subject names.
#[must_use]
pub fn kind_of(subject: &str) -> EventType {
    subject::parse_event(subject).map_or(EventType::UNKNOWN, |(_, kind)| kind)
}

/// The session that an event's subject names, or the default one.
#[must_use]
pub fn session_of(subject: &str) -> SessionId {
    subject::parse_event(subject).map_or_else(SessionId::default, |(session, _)| session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, headers: &[(&str, &str)]) -> Event {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        Event::new(subject, 7, Some(map), Bytes::from_static(b"{}"))
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
        assert_eq!(to("_INBOX.abc").report_to(), Some("_INBOX.abc"));
        for foreign in ["whatsapp.commands.default.logout", "$JS.API.STREAM.PURGE.EVENTS", "_INBOX", ""] {
            assert_eq!(to(foreign).report_to(), None, "{foreign}");
        }
    }
}

//! CloudEvents 1.0 over HTTP in binary mode: the attributes are headers, the body is the event's `data` and nothing
//! else (CloudEvents HTTP protocol binding, 3.1).
//!
//! `ce-type` is `kurir.` and the event type. The specification recommends a reversed domain name in front; Kurir has no
//! domain. `ce-source` and `ce-id` together identify an event: `/sessions/<session>` and the event id, which is the
//! same at every try and replay.

use crate::{
    delivery::format::event_view::{JSON, RenderedEvent},
    event::StoredEvent,
};
use http::{HeaderName, HeaderValue};
use kurir_contract::session::SessionId;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The parts of an event that the attributes need. `data` is not parsed: its bytes are the body.
#[derive(Deserialize)]
struct EventParts<'a> {
    timestamp: Option<serde_json::Value>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The chat in `data`, under each of its names.
#[derive(Default, Deserialize)]
struct ChatFields {
    from: Option<serde_json::Value>,
    to: Option<serde_json::Value>,
    chat: Option<serde_json::Value>,
}

pub fn render(event: &StoredEvent, session: &SessionId) -> RenderedEvent {
    let mut headers = vec![
        (HeaderName::from_static("ce-specversion"), HeaderValue::from_static("1.0")),
        attribute("ce-id", event.id.as_str()),
        attribute("ce-source", &format!("/sessions/{session}")),
        attribute("ce-type", &format!("kurir.{}", event.kind)),
    ];
    let Ok(envelope) = serde_json::from_slice::<EventParts<'_>>(&event.payload) else {
        // Another program stored it. It is sent as it is, with the attributes that it has.
        let content_type = if is_json(&event.payload) { JSON } else { OCTETS };
        return RenderedEvent::Body { body: event.payload.clone(), content_type, headers };
    };
    if let Some(serde_json::Value::String(time)) = &envelope.timestamp {
        headers.push(attribute("ce-time", time));
    }
    let data = envelope.data.get();
    let ChatFields { from, to, chat } = serde_json::from_str(data).unwrap_or_default();
    let chat = from.or(to).or(chat).unwrap_or_default();
    // A text, or an object with the canonical address.
    if let Some(chat) = chat.as_str().or_else(|| chat["jid"].as_str()) {
        headers.push(attribute("ce-subject", chat));
    }
    RenderedEvent::Body { body: event.payload.slice_ref(data.as_bytes()), content_type: JSON, headers }
}

fn is_json(payload: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok()
}

fn attribute(name: &'static str, value: &str) -> (HeaderName, HeaderValue) {
    // The encoding leaves only visible ASCII, so this never falls back.
    let value = HeaderValue::try_from(encoded(value)).unwrap_or(HeaderValue::from_static(""));
    (HeaderName::from_static(name), value)
}

/// Percent-encodes as the HTTP protocol binding (3.1.3.2) says: everything but visible ASCII, the quote, and `%`
/// itself.
fn encoded(value: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
    utf8_percent_encode(value, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_encoded_as_the_binding_says() {
        // The binding's own example.
        assert_eq!(encoded("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encoded("628@s.whatsapp.net"), "628@s.whatsapp.net");
        assert_eq!(encoded("a\"b%c\r\n"), "a%22b%25c%0D%0A");
    }
}

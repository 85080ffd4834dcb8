//! How an event is written for an endpoint: as the contract has it, as CloudEvents, or as another gateway would have
//! written it, so that what was made for that gateway works unchanged.
//!
//! Pure. What our events hold is read leniently: a field that is missing or of another kind makes a mapping poorer, or
//! leaves the event without a counterpart, and is never an error. `docs/formats.md` shows each mapping.

mod baileys;
mod cloudevents;
mod evolution;
mod fields;
mod message;
mod qr_picture;
mod state;
mod waha;

use super::StoredEvent;
use bytes::Bytes;
use fields::JsonFields;
use http::{HeaderName, HeaderValue};
use kurir_contract::{endpoint::PayloadFormat, session::SessionId};
use serde_json::Value;

/// The content type of all that is JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What an endpoint is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderedEvent {
    Body {
        body: Bytes,
        content_type: HeaderValue,
        /// Beside those that every request has.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// The format has nothing for this event: it is not sent, and counted.
    NoCounterpart,
}

/// Writes an event in a format. `session` is the event's, `public_url` the address under which others reach Kurir's
/// API, without a slash at its end: links to media begin with it.
#[must_use]
pub fn render(
    format: PayloadFormat,
    event: &StoredEvent,
    session: &SessionId,
    public_url: Option<&str>,
) -> RenderedEvent {
    match format {
        // Not even read: the contract's body is what is stored, byte for byte.
        PayloadFormat::Kurir => RenderedEvent::json(event.payload.clone()),
        PayloadFormat::Cloudevents => cloudevents::render(event, session),
        PayloadFormat::Waha => foreign(event, session, public_url, waha::render),
        PayloadFormat::Evolution => foreign(event, session, public_url, evolution::render),
    }
}

/// What the mappings to another gateway's events have to go by.
struct EventView<'a> {
    id: &'a str,
    kind: &'a str,
    session: &'a str,
    public_url: Option<&'a str>,
    /// When the event was made, as the contract's envelope says it.
    timestamp: &'a str,
    data: JsonFields<'a>,
}

impl EventView<'_> {
    /// A link as others can use it: ours begins with a slash.
    fn link(&self, path: &str) -> String {
        match self.public_url {
            Some(url) if path.starts_with('/') => format!("{}{path}", url.trim_end_matches('/')),
            Some(_) | None => path.to_owned(),
        }
    }
}

fn foreign(
    event: &StoredEvent,
    session: &SessionId,
    public_url: Option<&str>,
    render: fn(&EventView<'_>) -> Option<Value>,
) -> RenderedEvent {
    let Ok(envelope) = serde_json::from_slice::<Value>(&event.payload) else { return RenderedEvent::NoCounterpart };
    let fields = JsonFields(&envelope);
    let source = EventView {
        id: event.id.as_str(),
        kind: event.kind.as_str(),
        session: session.as_str(),
        public_url,
        timestamp: fields.text("timestamp").unwrap_or_default(),
        data: fields.within("data"),
    };
    match render(&source) {
        Some(body) => RenderedEvent::json(body.to_string().into()),
        None => RenderedEvent::NoCounterpart,
    }
}

impl RenderedEvent {
    fn json(body: Bytes) -> Self {
        Self::Body { body, content_type: JSON, headers: Vec::new() }
    }
}

#[cfg(test)]
mod tests;

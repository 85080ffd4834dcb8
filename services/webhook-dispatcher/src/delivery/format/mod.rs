//! Writes an event for an endpoint: in Kurir's own format, as CloudEvents, or as another gateway would have written it,
//! so that what was made for that gateway works unchanged.
//!
//! Pure. Events are read leniently: a field that is missing or of another kind makes a mapping poorer, or leaves the
//! event without a counterpart, and is never an error. `docs/formats.md` shows each mapping.

mod baileys;
mod cards;
mod cloudevents;
pub(super) mod event_view;
mod evolution;
mod fields;
mod media_link;
mod message;
mod qr_picture;
mod state;
mod waha;

use crate::{
    delivery::format::{
        event_view::{EventView, RenderedEvent},
        fields::JsonFields,
    },
    event::StoredEvent,
};
use kurir_contract::{endpoint::PayloadFormat, session::SessionId};
use serde_json::Value;

/// Writes an event in a format. `session` is the event's. `public_url` is the address of Kurir's API for others,
/// without a trailing slash; links to media start with it.
#[must_use]
pub fn render(
    format: PayloadFormat,
    event: &StoredEvent,
    session: &SessionId,
    public_url: Option<&str>,
) -> RenderedEvent {
    match format {
        // Not parsed: the body is what is stored, byte for byte, but for links to media.
        PayloadFormat::Kurir => RenderedEvent::json(media_link::with_whole_links(event, public_url)),
        PayloadFormat::Cloudevents => {
            let payload = media_link::with_whole_links(event, public_url);
            cloudevents::render(&StoredEvent { payload, ..event.clone() }, session)
        }
        PayloadFormat::Waha => foreign(event, session, public_url, waha::render),
        PayloadFormat::Evolution => foreign(event, session, public_url, evolution::render),
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

#[cfg(test)]
mod tests;

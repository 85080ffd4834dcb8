//! Maps an answer to a calendar event, which WhatsApp encrypts with the event's secret. Pure.

use super::{
    MappingContext, content_event,
    target::{TargetMessage, find_target},
};
use crate::inbound::{
    content::{event_response, unwrap_message},
    message_event::MessageEvent,
    polls::PollStore,
};
use kurir_contract::event::{EventType, RelatedMessage, RelationKind};
use waproto::whatsapp::Message;

/// The event of an answer; none if the message is none, or if the calendar event was never seen.
pub fn event_answer(seen: &MappingContext<'_>, message: &Message, polls: &PollStore) -> Option<MessageEvent> {
    let sealed = message.enc_event_response_message.as_option()?;
    let TargetMessage { id, author } = find_target(sealed.event_creation_message_key.as_option(), seen)?;
    let origin = seen.event_origin(&EventType::MESSAGE_RECEIVED);
    let creator = author.map(|author| seen.directory.known_addresses(&author))?;
    let event = polls.find(&origin.chat, &id)?;
    let answer = event.decrypt_answer(sealed, &id, &creator, &origin.author)?;
    let related = RelatedMessage { kind: RelationKind::Rsvp, message_id: id };
    Some(content_event(seen, unwrap_message(seen.message), event_response(&answer), Some(related)))
}

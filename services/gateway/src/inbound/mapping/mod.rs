//! Maps a message from WhatsApp to its event. Pure.
//!
//! `update` maps messages that refer to other messages: reactions, edits, deletions, votes. Content without a mapping
//! becomes `unknown` with the raw message. It never becomes an error, because WhatsApp would send the message again
//! forever.

mod answer;
mod target;
pub mod update;

use super::{
    addresses::AddressDirectory,
    content::{
        UnwrappedMessage, content_of,
        context::{context_of, cut_fields},
        is_sealed, unreadable, unwrap_message,
    },
    message_event::{MessageEvent, MessageEventData},
    polls::PollStore,
};
use kurir_contract::{
    clock,
    event::{
        EventId, EventIdentity, EventOrigin, EventType, MessageContent, MessageContext, MessageReceived, MessageSender,
        MessageSent, MessageUndecryptable, RelatedMessage, RelationKind, UndecryptableReason,
    },
    session::SessionId,
};
use time::OffsetDateTime;
use update::MessageUpdate;
use wacore::types::message::{MessageCategory, MessageInfo};
use wacore_binary::{Jid, JidExt as _, Server};
use waproto::whatsapp::Message;

/// Why a message has no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    #[error("a message of the account's own phone to this device")]
    Peer,
    #[error("a status update while WHATSAPP_STATUS_BROADCAST is off")]
    Status,
    #[error("a setting or a key of WhatsApp's apps")]
    Protocol,
}

/// A message, and what is known around it.
pub struct MappingContext<'a> {
    pub info: &'a MessageInfo,
    pub message: &'a Message,
    pub directory: &'a AddressDirectory,
    /// The addresses that the message itself names. The event's id is made from these, because WhatsApp may deliver a
    /// message again after more was learnt.
    pub identity: &'a AddressDirectory,
    pub session: &'a SessionId,
}

/// Checks whether users want to know of this message.
///
/// # Errors
/// With the reason why not.
pub fn check_wanted(info: &MessageInfo, statuses: bool) -> Result<(), SkipReason> {
    if info.category == MessageCategory::Peer {
        return Err(SkipReason::Peer);
    }
    if info.source.chat.is_status_broadcast() && !statuses {
        return Err(SkipReason::Status);
    }
    Ok(())
}

/// Makes the event of a message. The event of a message that holds nothing known is `unknown`, so that every message is
/// reported.
///
/// # Errors
/// If the message is one of those that the apps send each other. [`update::PASSED_OVER`] lists them.
pub fn map_message(seen: &MappingContext<'_>, polls: &PollStore) -> Result<MessageEvent, SkipReason> {
    let opened = unwrap_message(seen.message);
    if is_sealed(opened.message) {
        return Ok(answer::event_answer(seen, opened.message, polls).unwrap_or_else(|| sealed(seen)));
    }
    match update::map_update(seen, opened.message, polls) {
        MessageUpdate::Event(event) => return Ok(event),
        MessageUpdate::Skipped(why) => return Err(why),
        MessageUpdate::Unreadable | MessageUpdate::None => {}
    }
    let content = content_of(opened.message).unwrap_or_else(|| unreadable(opened.message));
    Ok(content_event(seen, opened, content, None))
}

/// The event of a message with content. `related` is what the message itself does not say.
fn content_event(
    seen: &MappingContext<'_>,
    opened: UnwrappedMessage<'_>,
    content: MessageContent,
    related: Option<RelatedMessage>,
) -> MessageEvent {
    let mut context = context_of(opened, seen.info.ephemeral_expiration, seen.directory);
    context.related = context.related.or(related).or_else(|| related_by_head(seen, &content));
    let cut = cut_fields(opened);
    if seen.info.source.is_from_me {
        sent_event(seen, content, context, cut)
    } else {
        received_event(seen, content, context, cut)
    }
}

/// The message to which this one belongs, as far as only the head of the message says so.
fn related_by_head(seen: &MappingContext<'_>, content: &MessageContent) -> Option<RelatedMessage> {
    let target = |kind, id: &Option<String>| {
        let message_id = id.clone().filter(|id| !id.is_empty())?;
        Some(RelatedMessage { kind, message_id })
    };
    // The library decrypts a comment and keeps on what it is one.
    let comment = seen.info.comment_target.as_ref().and_then(|key| target(RelationKind::Comment, &key.id));
    let is_event = matches!(content, MessageContent::Event { .. });
    comment.or_else(|| target(RelationKind::EventEdit, &seen.info.meta_info.target_id).filter(|_| is_event))
}

/// A reaction, a comment or an edit that is encrypted with the secret of a message which this client never saw.
fn sealed(seen: &MappingContext<'_>) -> MessageEvent {
    let data = MessageUndecryptable {
        message_id: seen.info.id.clone(),
        reason: UndecryptableReason::SecretUnknown,
        hidden: true,
        timestamp: seen.sent_at_millis(),
        origin: seen.event_origin(&EventType::MESSAGE_UNDECRYPTABLE),
    };
    MessageEvent::new(
        EventType::MESSAGE_UNDECRYPTABLE,
        data.origin.event_id.clone(),
        MessageEventData::Undecryptable(Box::new(data)),
    )
}

fn received_event(
    seen: &MappingContext<'_>,
    content: MessageContent,
    context: MessageContext,
    truncated: Vec<String>,
) -> MessageEvent {
    let mut origin = seen.event_origin(&EventType::MESSAGE_RECEIVED);
    origin.truncated = truncated;
    let verified_name = seen.info.verified_name.as_ref().and_then(|verified| verified.name.clone());
    let name = if seen.info.push_name.is_empty() { "Unknown" } else { &seen.info.push_name };
    let data = MessageReceived {
        message_id: seen.info.id.clone(),
        timestamp: seen.sent_at_millis(),
        content,
        sender: MessageSender { jid: origin.from.clone(), push_name: name.to_owned(), verified_name },
        context,
        origin,
    };
    MessageEvent::new(
        EventType::MESSAGE_RECEIVED,
        data.origin.event_id.clone(),
        MessageEventData::Received(Box::new(data)),
    )
}

/// The event of a message that the phone, or another device of the account, sent.
fn sent_event(
    seen: &MappingContext<'_>,
    content: MessageContent,
    context: MessageContext,
    truncated: Vec<String>,
) -> MessageEvent {
    let mut origin = seen.event_origin(&EventType::MESSAGE_SENT);
    origin.truncated = truncated;
    let at = OffsetDateTime::from_unix_timestamp(seen.info.timestamp.timestamp());
    let data = MessageSent {
        message_id: seen.info.id.clone(),
        to: origin.chat.jid.clone(),
        content,
        timestamp: clock::iso(at.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
        from_device: true,
        context,
        origin,
    };
    MessageEvent::new(EventType::MESSAGE_SENT, data.origin.event_id.clone(), MessageEventData::Sent(Box::new(data)))
}

impl MappingContext<'_> {
    fn event_origin(&self, kind: &EventType) -> EventOrigin {
        let source = &self.info.source;
        let place = EventSource { chat: &source.chat, author: &source.sender, from_me: source.is_from_me };
        let (chat, sender) =
            (self.identity.canonical_address(place.chat), self.identity.canonical_address(place.author));
        let mut origin = place.event_origin(self.directory, self.session, kind, (&self.info.id, ""));
        if !self.info.id.is_empty() {
            origin.event_id = EventId::from_identity(&EventIdentity {
                session: self.session,
                event: kind,
                chat: &chat,
                sender: &sender,
                message_id: &self.info.id,
                variant: "",
            });
        }
        origin
    }

    /// When the message was sent, in milliseconds since 1970.
    fn sent_at_millis(&self) -> i64 {
        self.info.timestamp.timestamp_millis()
    }
}

/// Where something happened and who did it, in WhatsApp's addresses.
#[derive(Clone, Copy, Debug)]
pub struct EventSource<'a> {
    pub chat: &'a Jid,
    pub author: &'a Jid,
    pub from_me: bool,
}

impl EventSource<'_> {
    /// The same in the form of events. `message` is the id of the message or notice, and the variant that tells several
    /// events about it apart. Without an id the event's id is random.
    #[must_use]
    pub fn event_origin(
        self,
        directory: &AddressDirectory,
        session: &SessionId,
        kind: &EventType,
        (message_id, variant): (&str, &str),
    ) -> EventOrigin {
        let (chat, author) = (directory.known_addresses(self.chat), directory.known_addresses(self.author));
        let event_id = if message_id.is_empty() {
            EventId::random()
        } else {
            let (chat, sender) = (&chat.jid, &author.jid);
            EventId::from_identity(&EventIdentity { session, event: kind, chat, sender, message_id, variant })
        };
        let is_direct = self.chat.server.is_pn_family() || self.chat.server.is_lid_family() || chat == author;
        // What somebody writes to a list of theirs belongs to the chat with them, as in the apps.
        let is_list = self.chat.server == Server::Broadcast && !self.chat.is_status_broadcast();
        let from = if is_list && !self.from_me { author.jid.clone() } else { chat.jid.clone() };
        EventOrigin {
            from,
            participant: (!is_direct).then(|| author.jid.clone()),
            from_me: self.from_me,
            session: session.clone(),
            event_id,
            truncated: Vec::new(),
            original_bytes: None,
            chat,
            author,
        }
    }
}

#[cfg(test)]
mod tests;

//! What a message from WhatsApp is to a user, and the event that tells of it. Pure.
//!
//! `change` has what becomes of other messages: reactions, edits, deletions, votes. Content that has no mapping is
//! `unknown` with the raw message, never an error: an error would bring it back for ever.

pub mod change;
mod target;

use super::{
    addresses::Directory,
    content::{content_of, context::context_of, open},
    polls::Polls,
    told::{Data, Told},
};
use kurir_contract::{
    clock,
    event::{
        EventId, EventIdentity, EventOrigin, EventType, MessageContent, MessageContext, MessageReceived, MessageSender,
        MessageSent,
    },
    session::SessionId,
};
use time::OffsetDateTime;
use wacore::types::message::{MessageCategory, MessageInfo};
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp::Message;

/// Why a message has no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    #[error("the own phone's message to this device")]
    Peer,
    #[error("a status update, which WHATSAPP_STATUS_BROADCAST does not ask for")]
    Status,
    #[error("a protocol message or keys, which are no content")]
    NoContent,
}

/// A message, and all that is known around it.
pub struct Seen<'a> {
    pub info: &'a MessageInfo,
    pub message: &'a Message,
    pub directory: &'a Directory,
    pub session: &'a SessionId,
}

/// Whether a message is one that users hear of.
///
/// # Errors
/// If it is not.
pub fn is_wanted(info: &MessageInfo, statuses: bool) -> Result<(), Skipped> {
    if info.category == MessageCategory::Peer {
        return Err(Skipped::Peer);
    }
    if info.source.chat.is_status_broadcast() && !statuses {
        return Err(Skipped::Status);
    }
    Ok(())
}

/// The event that tells of a message.
///
/// # Errors
/// If it holds nothing to tell of.
pub fn told(seen: &Seen<'_>, polls: &Polls) -> Result<Told, Skipped> {
    let opened = open(seen.message);
    if let Some(changed) = change::told(seen, opened.message, polls) {
        return changed;
    }
    let content = content_of(opened.message).ok_or(Skipped::NoContent)?;
    let context = context_of(opened, seen.info.ephemeral_expiration, seen.directory);
    Ok(if seen.info.source.is_from_me { sent(seen, content, context) } else { received(seen, content, context) })
}

fn received(seen: &Seen<'_>, content: MessageContent, context: MessageContext) -> Told {
    let origin = seen.origin(&EventType::MESSAGE_RECEIVED);
    let name = if seen.info.push_name.is_empty() { "Unknown" } else { &seen.info.push_name };
    let data = MessageReceived {
        message_id: seen.info.id.clone(),
        from: origin.chat.jid.clone(),
        timestamp: seen.milliseconds(),
        content,
        sender: MessageSender { jid: origin.chat.jid.clone(), push_name: name.to_owned() },
        context,
        origin,
    };
    Told::new(EventType::MESSAGE_RECEIVED, data.origin.event_id.clone(), Data::Received(Box::new(data)))
}

/// Written on the phone, or on another device of the account.
fn sent(seen: &Seen<'_>, content: MessageContent, context: MessageContext) -> Told {
    let origin = seen.origin(&EventType::MESSAGE_SENT);
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
    Told::new(EventType::MESSAGE_SENT, data.origin.event_id.clone(), Data::Sent(Box::new(data)))
}

impl Seen<'_> {
    fn origin(&self, kind: &EventType) -> EventOrigin {
        let source = &self.info.source;
        let place = Place { chat: &source.chat, author: &source.sender, from_me: source.is_from_me };
        place.origin(self.directory, self.session, kind, (&self.info.id, ""))
    }

    /// When it was sent, milliseconds since 1970.
    fn milliseconds(&self) -> i64 {
        self.info.timestamp.timestamp_millis()
    }
}

/// Where something happened and whose doing it was, as WhatsApp named it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub chat: &'a Jid,
    pub author: &'a Jid,
    pub from_me: bool,
}

impl Place<'_> {
    /// The same for users. `message` is the id of the message or whatever else happened, and what tells several events
    /// about it apart; without an id the event's is random.
    #[must_use]
    pub fn origin(
        self,
        directory: &Directory,
        session: &SessionId,
        kind: &EventType,
        (message_id, variant): (&str, &str),
    ) -> EventOrigin {
        let (chat, author) = (directory.party(self.chat), directory.party(self.author));
        let event_id = if message_id.is_empty() {
            EventId::random()
        } else {
            let (chat, sender) = (&chat.jid, &author.jid);
            EventId::from_identity(&EventIdentity { session, event: kind, chat, sender, message_id, variant })
        };
        let is_direct = self.chat.server.is_pn_family() || self.chat.server.is_lid_family() || chat == author;
        EventOrigin {
            participant: (!is_direct).then(|| author.jid.clone()),
            from_me: self.from_me,
            session: session.clone(),
            event_id,
            chat,
            author,
        }
    }
}

#[cfg(test)]
mod tests;

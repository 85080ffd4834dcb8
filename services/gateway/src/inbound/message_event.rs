//! The event of a message, before it is encoded.

use super::content::UNREADABLE;
use crate::publish::OutgoingEvent;
use kurir_contract::{
    clock,
    event::{
        ChatUpdated, EventId, EventType, MediaDownloaded, MessageContent, MessageEdited, MessageReaction,
        MessageReceived, MessageRevoked, MessageSent, MessageUndecryptable, PollVote, ReceivedFile,
    },
    session::SessionId,
};
use serde::Serialize;

/// An event about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageEvent {
    pub kind: EventType,
    pub id: EventId,
    pub data: MessageEventData,
    /// Whether `raw` is there only for endpoints that ask for it.
    pub raw_on_request: bool,
}

/// The `data` of the event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MessageEventData {
    Received(Box<MessageReceived>),
    Sent(Box<MessageSent>),
    Edited(Box<MessageEdited>),
    Reaction(Box<MessageReaction>),
    Revoked(Box<MessageRevoked>),
    Vote(Box<PollVote>),
    Downloaded(Box<MediaDownloaded>),
    Undecryptable(Box<MessageUndecryptable>),
    Chat(Box<ChatUpdated>),
}

impl MessageEvent {
    #[must_use]
    pub fn new(kind: EventType, id: EventId, data: MessageEventData) -> Self {
        Self { kind, id, data, raw_on_request: false }
    }

    /// Makes the event that reports this event's late file, and its session. `sent_at`: milliseconds since 1970.
    #[must_use]
    pub fn into_downloaded(mut self, file: ReceivedFile, sent_at: i64) -> Option<(SessionId, Self)> {
        self.data.set_file(file);
        let (message_id, content, mut origin) = match self.data {
            MessageEventData::Received(data) => (data.message_id, data.content, data.origin),
            MessageEventData::Sent(data) => (data.message_id, data.content, data.origin),
            MessageEventData::Edited(_)
            | MessageEventData::Reaction(_)
            | MessageEventData::Revoked(_)
            | MessageEventData::Vote(_)
            | MessageEventData::Undecryptable(_)
            | MessageEventData::Chat(_)
            | MessageEventData::Downloaded(_) => return None,
        };
        let (kind, id) = (EventType::MEDIA_DOWNLOADED, self.id.derived(EventType::MEDIA_DOWNLOADED.as_str()));
        origin.event_id = id.clone();
        let session = origin.session.clone();
        let data = MediaDownloaded { message_id, content, timestamp: sent_at, origin };
        Some((session, Self::new(kind, id, MessageEventData::Downloaded(Box::new(data)))))
    }

    /// Encodes the event, however large it is.
    #[must_use]
    pub fn into_outgoing(self, session: &SessionId) -> OutgoingEvent {
        let event = OutgoingEvent::new(session, self.kind, self.id, clock::now(), &self.data);
        if self.raw_on_request { event.with_raw_on_request() } else { event }
    }

    /// Whether the message held nothing that this version knows.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.data.content(), Some(MessageContent::Unknown { raw }) if raw.get(UNREADABLE).is_some())
    }
}

impl MessageEventData {
    /// The content, if the event is about a message with content of its own.
    #[must_use]
    pub fn content(&self) -> Option<&MessageContent> {
        match self {
            Self::Received(data) => Some(&data.content),
            Self::Sent(data) => Some(&data.content),
            // An edit changes the text next to a file, not the file.
            Self::Edited(_)
            | Self::Reaction(_)
            | Self::Revoked(_)
            | Self::Vote(_)
            | Self::Undecryptable(_)
            | Self::Chat(_)
            | Self::Downloaded(_) => None,
        }
    }

    /// Writes the whole message into the event, if the event has a content.
    pub fn set_raw(&mut self, raw: serde_json::Value) {
        match self {
            Self::Received(data) => data.context.raw = Some(raw),
            Self::Sent(data) => data.context.raw = Some(raw),
            Self::Edited(data) => data.context.raw = Some(raw),
            Self::Reaction(_)
            | Self::Revoked(_)
            | Self::Vote(_)
            | Self::Undecryptable(_)
            | Self::Chat(_)
            | Self::Downloaded(_) => {}
        }
    }

    /// Writes the result of the download into the event.
    pub fn set_file(&mut self, file: ReceivedFile) {
        match self {
            Self::Received(data) => data.content.set_file(file),
            Self::Sent(data) => data.content.set_file(file),
            Self::Edited(_)
            | Self::Reaction(_)
            | Self::Revoked(_)
            | Self::Vote(_)
            | Self::Undecryptable(_)
            | Self::Chat(_)
            | Self::Downloaded(_) => {}
        }
    }
}

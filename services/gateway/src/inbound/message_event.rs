//! The event that tells of a message, before it is bytes.

use super::content::UNREADABLE;
use crate::publish::OutgoingEvent;
use kurir_contract::{
    event::{
        EventId, EventType, MediaDownloaded, MessageContent, MessageEdited, MessageReaction, MessageReceived,
        MessageRevoked, MessageSent, MessageUndecryptable, PollVote, ReceivedFile,
    },
    session::SessionId,
};
use serde::Serialize;
use time::OffsetDateTime;

/// An event about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageEvent {
    pub kind: EventType,
    pub id: EventId,
    pub data: MessageEventData,
}

/// Its `data`.
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
}

impl MessageEvent {
    #[must_use]
    pub fn new(kind: EventType, id: EventId, data: MessageEventData) -> Self {
        Self { kind, id, data }
    }

    /// The event that tells that this one's file came later, and its session; `sent_at`: milliseconds since 1970.
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
            | MessageEventData::Downloaded(_) => return None,
        };
        let (kind, id) = (EventType::MEDIA_DOWNLOADED, self.id.derived(EventType::MEDIA_DOWNLOADED.as_str()));
        origin.event_id = id.clone();
        let session = origin.session.clone();
        let data = MediaDownloaded { message_id, content, timestamp: sent_at, origin };
        Some((session, Self::new(kind, id, MessageEventData::Downloaded(Box::new(data)))))
    }

    /// As EVENTS will hold it, if it is not too large.
    #[must_use]
    pub fn into_outgoing(self, session: &SessionId) -> OutgoingEvent {
        OutgoingEvent::new(session, self.kind, self.id, OffsetDateTime::now_utc(), &self.data)
    }

    /// Whether the message held nothing that this version knows.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.data.content(), Some(MessageContent::Unknown { raw }) if raw.get(UNREADABLE).is_some())
    }
}

impl MessageEventData {
    /// What the message holds, of an event about a message with a content of its own.
    #[must_use]
    pub fn content(&self) -> Option<&MessageContent> {
        match self {
            Self::Received(data) => Some(&data.content),
            Self::Sent(data) => Some(&data.content),
            // What an edit changes is the text beside a file.
            Self::Edited(_)
            | Self::Reaction(_)
            | Self::Revoked(_)
            | Self::Vote(_)
            | Self::Undecryptable(_)
            | Self::Downloaded(_) => None,
        }
    }

    /// Says what became of the message's file.
    pub fn set_file(&mut self, file: ReceivedFile) {
        match self {
            Self::Received(data) => data.content.set_file(file),
            Self::Sent(data) => data.content.set_file(file),
            Self::Edited(_)
            | Self::Reaction(_)
            | Self::Revoked(_)
            | Self::Vote(_)
            | Self::Undecryptable(_)
            | Self::Downloaded(_) => {}
        }
    }
}

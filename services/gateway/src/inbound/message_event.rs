//! The event of a message, before it is encoded. If it is too large, its content is left out.

use crate::publish::OutgoingEvent;
use kurir_contract::{
    event::{
        EventId, EventType, MediaDownloaded, MessageContent, MessageContext, MessageEdited, MessageReaction,
        MessageReceived, MessageRevoked, MessageSent, PollVote, ReceivedFile,
    },
    session::SessionId,
};
use serde::Serialize;
use time::OffsetDateTime;

/// NATS takes 1 MB in one message by default. A larger event keeps its place in the order, and loses its content.
const LARGEST_EVENT: usize = 900_000;

/// An event about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageEvent {
    pub kind: EventType,
    pub id: EventId,
    pub data: MessageEventData,
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
}

impl MessageEvent {
    #[must_use]
    pub fn new(kind: EventType, id: EventId, data: MessageEventData) -> Self {
        Self { kind, id, data }
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
            | MessageEventData::Downloaded(_) => {
                return None;
            }
        };
        let (kind, id) = (EventType::MEDIA_DOWNLOADED, self.id.derived(EventType::MEDIA_DOWNLOADED.as_str()));
        origin.event_id = id.clone();
        let session = origin.session.clone();
        let data = MediaDownloaded { message_id, content, timestamp: sent_at, origin };
        Some((session, Self::new(kind, id, MessageEventData::Downloaded(Box::new(data)))))
    }

    /// Encodes the event, small enough for NATS.
    #[must_use]
    pub fn into_outgoing(mut self, session: &SessionId) -> OutgoingEvent {
        let at = OffsetDateTime::now_utc();
        let event = OutgoingEvent::new(session, self.kind.clone(), self.id.clone(), at, &self.data);
        let size = event.size();
        if size <= LARGEST_EVENT {
            return event;
        }
        tracing::warn!(event.id = %self.id, "a message of {size} bytes is too large for an event: its content is left out");
        self.data.omit_content(size);
        OutgoingEvent::new(session, self.kind, self.id, at, &self.data)
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
            Self::Edited(_) | Self::Reaction(_) | Self::Revoked(_) | Self::Vote(_) | Self::Downloaded(_) => None,
        }
    }

    /// Writes the result of the download into the event.
    pub fn set_file(&mut self, file: ReceivedFile) {
        match self {
            Self::Received(data) => data.content.set_file(file),
            Self::Sent(data) => data.content.set_file(file),
            Self::Edited(_) | Self::Reaction(_) | Self::Revoked(_) | Self::Vote(_) | Self::Downloaded(_) => {}
        }
    }

    fn omit_content(&mut self, bytes: usize) {
        let (content, context) = match self {
            Self::Received(data) => (&mut data.content, &mut data.context),
            Self::Sent(data) => (&mut data.content, &mut data.context),
            Self::Edited(data) => (&mut data.content, &mut data.context),
            // WhatsApp limits an emoji and the options of a poll.
            Self::Reaction(_) | Self::Revoked(_) | Self::Vote(_) => return,
            // Without the file the event would say nothing.
            Self::Downloaded(_) => return,
        };
        let raw = serde_json::json!({"omitted": "the message is too large for an event", "bytes": bytes});
        *content = MessageContent::Unknown { raw };
        *context = MessageContext { reply: None, link_preview: None, mentions: Vec::new(), ..std::mem::take(context) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::{
        address::ChatJid,
        event::{EventOrigin, KnownAddresses, MessageSender},
    };

    fn received(text: String) -> MessageEvent {
        let (jid, id) = (ChatJid::from_whatsapp("628@s.whatsapp.net"), EventId::from_header("evt_1"));
        let party = KnownAddresses::from_jid(jid.clone());
        let origin = EventOrigin {
            chat: party.clone(),
            author: party,
            participant: None,
            from_me: false,
            session: SessionId::default(),
            event_id: id.clone(),
        };
        let data = MessageReceived {
            message_id: "3EB0".to_owned(),
            from: jid.clone(),
            timestamp: 0,
            content: MessageContent::Text { text },
            sender: MessageSender { jid, push_name: "Budi".to_owned() },
            context: MessageContext {
                mentions: vec![ChatJid::from_whatsapp("629@s.whatsapp.net")],
                ..MessageContext::default()
            },
            origin,
        };
        MessageEvent::new(EventType::MESSAGE_RECEIVED, id, MessageEventData::Received(Box::new(data)))
    }

    #[test]
    fn what_is_too_large_for_nats_keeps_its_place_without_its_content() {
        let small = received("x".repeat(LARGEST_EVENT / 2)).into_outgoing(&SessionId::default());
        assert!(small.size() > LARGEST_EVENT / 2);
        let large = received("x".repeat(LARGEST_EVENT)).into_outgoing(&SessionId::default());
        assert!(large.size() < 2_000, "{}", large.size());
        let shown = format!("{large:?}");
        assert!(shown.contains("omitted") && shown.contains("3EB0") && shown.contains("evt_1"), "{shown}");
    }
}

//! What a message from WhatsApp is to a user: `message.received`, or nothing that a user received. Pure.
//!
//! Content that has no mapping is `unknown` with the raw message, never an error: an error would bring it back for ever.

use super::content::content_of;
use kurir_contract::{
    address::ChatJid,
    event::{Content, EventId, MessageReceived, Sender},
    session::SessionId,
};
use wacore::types::message::{MessageCategory, MessageInfo};
use wacore_binary::JidExt as _;
use waproto::whatsapp::Message;

/// Why a message is no `message.received`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    #[error("the own phone's message to this device")]
    Peer,
    #[error("sent by this account")]
    Own,
    #[error("a status update, which WHATSAPP_STATUS_BROADCAST does not ask for")]
    Status,
    #[error("a protocol message, a reaction or keys, which are no content")]
    NoContent,
}

/// # Errors
/// If the message is not one that a user received.
pub fn content(info: &MessageInfo, message: &Message, statuses: bool) -> Result<Content, Skipped> {
    if info.category == MessageCategory::Peer {
        return Err(Skipped::Peer);
    }
    if info.source.is_from_me {
        return Err(Skipped::Own);
    }
    if info.source.chat.is_status_broadcast() && !statuses {
        return Err(Skipped::Status);
    }
    content_of(message).ok_or(Skipped::NoContent)
}

/// The event's `data`.
#[must_use]
pub fn received(
    info: &MessageInfo,
    chat: &ChatJid,
    sender: &ChatJid,
    content: Content,
    session: &SessionId,
    id: &EventId,
) -> MessageReceived {
    let is_direct = chat == sender;
    let name = if info.push_name.is_empty() { "Unknown" } else { &info.push_name };
    MessageReceived {
        message_id: info.id.clone(),
        from: chat.clone(),
        timestamp: info.timestamp.timestamp_millis(),
        content,
        sender: Sender { jid: chat.clone(), push_name: name.to_owned() },
        participant: (!is_direct).then(|| sender.clone()),
        session: session.clone(),
        event_id: id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(chat: &str) -> MessageInfo {
        let mut info = MessageInfo { id: "3EB0".to_owned(), ..MessageInfo::default() };
        info.source.chat = chat.parse().unwrap();
        info.source.sender = "628@s.whatsapp.net".parse().unwrap();
        info
    }

    fn text() -> Message {
        Message { conversation: Some("hello".to_owned()), ..Message::default() }
    }

    #[test]
    fn only_what_others_wrote_is_received() {
        let chat = "628@s.whatsapp.net";
        let mut peer = info(chat);
        peer.category = MessageCategory::Peer;
        let mut own = info(chat);
        own.source.is_from_me = true;
        let status = info("status@broadcast");
        assert_eq!(content(&peer, &text(), false), Err(Skipped::Peer));
        assert_eq!(content(&own, &text(), false), Err(Skipped::Own));
        assert_eq!(content(&status, &text(), false), Err(Skipped::Status));
        assert!(content(&status, &text(), true).is_ok());
        assert_eq!(content(&info(chat), &Message::default(), false), Err(Skipped::NoContent));
        assert_eq!(content(&info(chat), &text(), false), Ok(Content::Text { text: "hello".to_owned() }));
    }

    #[test]
    fn the_data_is_the_contract() {
        let chat = ChatJid::from_whatsapp("628@s.whatsapp.net");
        let group = ChatJid::from_whatsapp("120363@g.us");
        let mut info = info("628@s.whatsapp.net");
        info.timestamp = whatsapp_rust::chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let (session, id) = (SessionId::default(), EventId::from_header("evt_1"));
        let hello = || Content::Text { text: "hello".to_owned() };
        let direct = received(&info, &chat, &chat, hello(), &session, &id);
        assert_eq!(
            serde_json::to_value(&direct).unwrap(),
            serde_json::json!({
                "messageId": "3EB0",
                "from": "628@s.whatsapp.net",
                "timestamp": 1_790_000_000_000_i64,
                "messageType": "text",
                "content": {"text": "hello"},
                "sender": {"jid": "628@s.whatsapp.net", "pushName": "Unknown"},
                "participant": null,
                "session": "default",
                "eventId": "evt_1",
            })
        );
        info.push_name = "Budi".to_owned();
        let in_group = received(&info, &group, &chat, hello(), &session, &id);
        assert_eq!(in_group.sender, Sender { jid: group, push_name: "Budi".to_owned() });
        assert_eq!(in_group.participant, Some(chat));
    }
}

//! `history.sync`: the past messages that the phone sends after a pairing, a few of one chat in each event.

use super::notice_event::NoticeEvent;
use crate::inbound::{
    addresses::AddressDirectory,
    content::{content_of, context, unwrap_message},
};
use kurir_contract::{
    address::ChatJid,
    event::{EventId, EventIdentity, EventType, HistorySync, PastMessage},
    session::SessionId,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use wacore::types::events::Event;
use wacore_binary::Jid;
use waproto::whatsapp::{Conversation, WebMessageInfo};

/// Messages in one event. With everything around its text, this many take some 40 kB.
const MESSAGES: usize = 50;
/// Bytes of the messages in one event. NATS takes 1 MB by default. A larger message is an event by itself, made smaller.
const BYTES: usize = 400_000;
/// Chats that are unpacked before the broker takes them. The largest may have some megabytes.
const AHEAD: usize = 2;

/// The chats of one part of the history, unpacked one after the other.
pub fn unpack_conversations(event: Arc<Event>) -> mpsc::Receiver<Conversation> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // The task ends with its receiver.
    tokio::task::spawn_blocking(move || {
        let Event::HistorySync(past) = &*event else { return };
        let mut stream = past.stream();
        loop {
            match stream.next_conversation() {
                Ok(Some(conversation)) => {
                    if sender.blocking_send(conversation).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return tracing::warn!("a part of the history cannot be unpacked: {error}"),
            }
        }
    });
    receiver
}

/// The people in a past chat. They are looked up.
pub fn referenced_people(conversation: &Conversation) -> Vec<Jid> {
    let ids = [Some(&conversation.id), conversation.pn_jid.as_ref(), conversation.lid_jid.as_ref()];
    let writers = past_messages(conversation).filter_map(message_author);
    ids.into_iter().flatten().filter_map(|id| id.parse().ok()).chain(writers).collect()
}

/// The events of one chat. Pure.
pub fn history_notices(
    conversation: &Conversation,
    progress: Option<u32>,
    directory: &AddressDirectory,
    session: &SessionId,
) -> Vec<NoticeEvent> {
    let Ok(id) = conversation.id.parse::<Jid>() else { return Vec::new() };
    let mut directory = directory.clone();
    for other in [&conversation.pn_jid, &conversation.lid_jid].into_iter().flatten() {
        if let Ok(other) = other.parse() {
            directory.add_pair(&id, &other);
        }
    }
    let chat = directory.known_addresses(&id);
    let messages: Vec<PastMessage> =
        past_messages(conversation).filter_map(|past| past_message(past, &directory)).collect();
    let notices = split_into_parts(messages).into_iter().map(|messages| {
        let event_id = history_event_id(&chat.jid, &messages, session);
        let data = HistorySync {
            chat: chat.clone(),
            name: conversation.name.clone(),
            messages,
            progress,
            session: session.clone(),
            event_id: event_id.clone(),
            truncated: Vec::new(),
            original_bytes: None,
        };
        NoticeEvent::new(EventType::HISTORY_SYNC, event_id, data)
    });
    notices.collect()
}

fn past_messages(conversation: &Conversation) -> impl Iterator<Item = &WebMessageInfo> {
    conversation.messages.iter().filter_map(|message| message.message.as_option())
}

fn message_author(message: &WebMessageInfo) -> Option<Jid> {
    let key = message.key.as_option();
    let participant = message.participant.as_ref().or_else(|| key.and_then(|key| key.participant.as_ref()));
    participant?.parse().ok()
}

fn past_message(past: &WebMessageInfo, directory: &AddressDirectory) -> Option<PastMessage> {
    let key = past.key.as_option()?;
    let opened = unwrap_message(past.message.as_option()?);
    let seconds = past.message_timestamp.and_then(|at| i64::try_from(at).ok()).filter(|at| *at > 0);
    Some(PastMessage {
        message_id: key.id.clone()?,
        timestamp: seconds.map(|seconds| seconds.saturating_mul(1_000)),
        content: content_of(opened.message)?,
        from_me: key.from_me.unwrap_or_default(),
        participant: message_author(past).map(|jid| directory.canonical_address(&jid)),
        push_name: past.push_name.clone(),
        context: context::context_of(opened, past.ephemeral_duration, directory),
    })
}

/// Splits the messages into the parts that become events, in their order.
fn split_into_parts(messages: Vec<PastMessage>) -> Vec<Vec<PastMessage>> {
    let mut parts: Vec<Vec<PastMessage>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let size = serde_json::to_vec(&message).map_or(0, |bytes| bytes.len());
        match parts.last_mut() {
            Some(part) if part.len() < MESSAGES && bytes + size <= BYTES => {
                part.push(message);
                bytes += size;
            }
            _ => {
                parts.push(vec![message]);
                bytes = size;
            }
        }
    }
    parts
}

/// The id depends on the messages only, so that a part that the phone sends twice is the same event.
fn history_event_id(chat: &ChatJid, messages: &[PastMessage], session: &SessionId) -> EventId {
    let (kind, sender) = (EventType::HISTORY_SYNC, chat);
    let first = messages.first().map(|message| message.message_id.as_str()).unwrap_or_default();
    EventId::from_identity(&EventIdentity {
        session,
        event: &kind,
        chat,
        sender,
        message_id: first,
        variant: &messages.len().to_string(),
    })
}

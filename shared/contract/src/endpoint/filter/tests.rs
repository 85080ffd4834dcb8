//! Filters against the events as they are stored.

use super::*;
use crate::{
    clock,
    event::{
        AckStatus, CallEvent, EventEnvelope, EventId, EventOrigin, EventType, HistorySync, KnownAddresses, MessageAck,
        MessageContent, MessageContext, MessageReaction, MessageReceived, MessageSender, MessageSent, PresenceState,
        PresenceUpdated,
    },
    session::SessionId,
};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

const ADA: &str = "491700000001@s.whatsapp.net";
const ADAS_LID: &str = "100000000000001@lid";
const ME: &str = "491700000009@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";

fn jid(jid: &str) -> ChatJid {
    ChatJid::from_whatsapp(jid)
}

fn party(address: &str) -> KnownAddresses {
    let lid = (address == ADA).then(|| jid(ADAS_LID));
    KnownAddresses { lid, ..KnownAddresses::from_jid(jid(address)) }
}

fn origin(chat: &str, author: &str) -> EventOrigin {
    EventOrigin {
        from: jid(chat),
        chat: party(chat),
        author: party(author),
        participant: (chat == GROUP).then(|| jid(author)),
        from_me: author == ME,
        session: SessionId::default(),
        event_id: EventId::from_header("evt_1"),
        truncated: Vec::new(),
        original_bytes: None,
    }
}

fn event(kind: EventType, data: impl Serialize) -> Value {
    serde_json::to_value(EventEnvelope::new(kind, OffsetDateTime::UNIX_EPOCH, data)).unwrap()
}

fn received(chat: &str, author: &str) -> Value {
    let received = MessageReceived {
        message_id: "A".to_owned(),
        timestamp: 0,
        content: MessageContent::Text { text: "x".to_owned() },
        sender: MessageSender { jid: jid(chat), push_name: "Ada".to_owned(), verified_name: None },
        context: MessageContext::default(),
        origin: origin(chat, author),
    };
    event(EventType::MESSAGE_RECEIVED, received)
}

fn sent(chat: &str) -> Value {
    let sent = MessageSent {
        message_id: "A".to_owned(),
        to: jid(chat),
        content: MessageContent::Text { text: "x".to_owned() },
        timestamp: clock::iso(OffsetDateTime::UNIX_EPOCH),
        from_device: false,
        context: MessageContext::default(),
        origin: origin(chat, ME),
    };
    event(EventType::MESSAGE_SENT, sent)
}

fn ack(chat: &str, author: &str) -> Value {
    let (message_id, status) = ("A".to_owned(), AckStatus::Read);
    event(EventType::MESSAGE_ACK, MessageAck { message_id, status, timestamp: 0, origin: origin(chat, author) })
}

fn reaction(chat: &str, author: &str) -> Value {
    let reaction = MessageReaction {
        message_id: "A".to_owned(),
        emoji: "x".to_owned(),
        reaction_id: "B".to_owned(),
        message_author: Some(party(ME)),
        timestamp: 0,
        origin: origin(chat, author),
    };
    event(EventType::MESSAGE_REACTION, reaction)
}

fn call() -> Value {
    let origin = origin(ADA, ADA);
    let call =
        CallEvent { call_id: "C".to_owned(), video: Some(false), group: None, reason: None, timestamp: 0, origin };
    event(EventType::CALL_RECEIVED, call)
}

fn presence() -> Value {
    let presence = PresenceUpdated { presence: PresenceState::Composing, last_seen: None, origin: origin(GROUP, ADA) };
    event(EventType::PRESENCE_UPDATED, presence)
}

fn history() -> Value {
    let history = HistorySync {
        chat: party(ADA),
        name: None,
        messages: Vec::new(),
        progress: None,
        session: SessionId::default(),
        event_id: EventId::from_header("evt_1"),
        truncated: Vec::new(),
        original_bytes: None,
    };
    event(EventType::HISTORY_SYNC, history)
}

fn named(field: &str, jids: &[&str]) -> ContentFilter {
    serde_json::from_value(json!({ field: jids })).unwrap()
}

#[test]
fn each_condition_holds_for_what_it_names_and_for_nothing_else() {
    let events = [
        received(ADA, ADA),
        received(GROUP, ADA),
        sent(ADA),
        ack(ADA, ADA),
        ack(GROUP, ME),
        reaction(GROUP, ADA),
        call(),
        presence(),
        history(),
    ];
    let none = ContentFilter::default;
    let (yes, no) = (true, false);
    for (filter, admitted) in [
        (none(), [yes; 9]),
        (named("chats", &[ADA]), [yes, no, yes, yes, no, no, yes, no, yes]),
        (named("chats", &[ADAS_LID]), [yes, no, yes, yes, no, no, yes, no, yes]),
        (named("chats", &[GROUP, ME]), [no, yes, no, no, yes, yes, no, yes, no]),
        (named("senders", &[ADA]), [yes, yes, no, yes, no, yes, yes, yes, yes]),
        (named("senders", &[ADAS_LID]), [yes, yes, no, yes, no, yes, yes, yes, yes]),
        (named("senders", &[ME]), [no, no, yes, no, yes, no, no, no, yes]),
        (named("senders", &[GROUP]), [no, no, no, no, no, no, no, no, yes]),
        (ContentFilter { chat_type: Some(ChatType::Direct), ..none() }, [yes, no, yes, yes, no, no, yes, no, yes]),
        (ContentFilter { chat_type: Some(ChatType::Group), ..none() }, [no, yes, no, no, yes, yes, no, yes, no]),
        (ContentFilter { from_me: Some(true), ..none() }, [no, no, yes, yes, yes, no, no, no, yes]),
        (ContentFilter { from_me: Some(false), ..none() }, [yes, yes, no, no, no, yes, yes, yes, yes]),
        (ContentFilter { from_me: Some(false), ..named("chats", &[ADA]) }, [yes, no, no, no, no, no, yes, no, yes]),
    ] {
        for (event, admitted) in events.iter().zip(admitted) {
            assert_eq!(filter.admits(event), admitted, "{filter:?} {event}");
        }
        for about_no_chat in [json!({"event": "connection.status", "data": {"isConnected": true}}), json!("no event")] {
            assert!(filter.admits(&about_no_chat), "{filter:?}");
        }
    }
}

#[test]
fn an_event_of_an_earlier_kurir_is_read_too() {
    let direct = json!({"event": "message.received", "data": {"from": ADA, "participant": null}});
    let group = json!({"event": "message.received", "data": {"from": GROUP, "participant": ADA}});
    let sent = json!({"event": "message.sent", "data": {"to": ADA}});
    let own = ContentFilter { from_me: Some(true), ..ContentFilter::default() };
    for (filter, admitted) in [
        (named("chats", &[ADA]), [true, false, true]),
        (named("senders", &[ADA]), [true, true, true]),
        (own, [false, false, true]),
    ] {
        for (event, admitted) in [&direct, &group, &sent].into_iter().zip(admitted) {
            assert_eq!(filter.admits(event), admitted, "{filter:?} {event}");
        }
    }
}

#[test]
fn what_came_through_kurir_can_be_left_out_and_what_the_phone_wrote_stays() {
    let mut by_phone = sent(ADA);
    by_phone["data"]["fromDevice"] = json!(true);
    let only = |from_api: bool| ContentFilter { from_api: Some(from_api), ..ContentFilter::default() };
    for (event, is_from_api) in
        [(sent(ADA), true), (by_phone, false), (received(ADA, ADA), false), (ack(ADA, ADA), false)]
    {
        assert_eq!(only(true).admits(&event), is_from_api, "{event}");
        assert_eq!(only(false).admits(&event), !is_from_api, "{event}");
    }
}

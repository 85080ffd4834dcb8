//! Each meaning of a message, and the fields of its event.

use super::*;
use crate::inbound::addresses::AddressDirectory;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use serde_json::{Value, json};
use wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret};
use waproto::whatsapp::{
    MessageContextInfo, MessageKey,
    message::{
        PollAddOptionMessage, PollCreationMessage, PollEncValue, PollUpdateMessage, ProtocolMessage, ReactionMessage,
        poll_creation_message, protocol_message::Type,
    },
};

const BUDI: &str = "628@s.whatsapp.net";
const GROUP: &str = "120363@g.us";

fn jid(jid: &str) -> Jid {
    jid.parse().unwrap()
}

fn directory() -> AddressDirectory {
    let mut directory = AddressDirectory::of_account(Some(jid("111@s.whatsapp.net")), Some(jid("222@lid")));
    directory.add_pair(&jid(BUDI), &jid("900@lid"));
    directory
}

fn info(chat: &str, sender: &str) -> MessageInfo {
    let mut info = MessageInfo { id: "3EB0".to_owned(), push_name: "Budi".to_owned(), ..MessageInfo::default() };
    info.source.chat = jid(chat);
    info.source.sender = jid(sender);
    info.source.is_from_me = directory().is_own(&info.source.sender);
    info.timestamp = whatsapp_rust::chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    info
}

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

fn event_with(info: &MessageInfo, message: &Message) -> Result<MessageEvent, SkipReason> {
    let (directory, session) = (directory(), SessionId::default());
    let (identity, directory) = (&directory, &directory);
    map_message(&MappingContext { info, message, directory, identity, session: &session }, &PollStore::default())
}

fn told_with(info: &MessageInfo, message: &Message, polls: &PollStore) -> Result<(String, Value), SkipReason> {
    let (directory, session) = (directory(), SessionId::default());
    let (identity, directory) = (&directory, &directory);
    let seen = MappingContext { info, message, directory, identity, session: &session };
    let told = map_message(&seen, polls)?;
    let data = serde_json::to_value(&told.data).unwrap();
    assert_eq!(data["eventId"], told.id.as_str());
    Ok((told.kind.to_string(), data))
}

fn told_of(info: &MessageInfo, message: &Message) -> (String, Value) {
    told_with(info, message, &PollStore::default()).expect("an event")
}

fn key(id: &str, from_me: bool, participant: Option<&str>) -> MessageField<MessageKey> {
    MessageField::some(MessageKey {
        id: Some(id.to_owned()),
        from_me: Some(from_me),
        participant: participant.map(str::to_owned),
        ..Default::default()
    })
}

#[test]
fn what_is_no_users_is_not_told() {
    let mut peer = info(BUDI, BUDI);
    peer.category = MessageCategory::Peer;
    let status = info("status@broadcast", BUDI);
    assert_eq!(check_wanted(&peer, true), Err(SkipReason::Peer));
    assert_eq!(check_wanted(&status, false), Err(SkipReason::Status));
    assert_eq!(check_wanted(&status, true), Ok(()));
    assert_eq!(check_wanted(&info(BUDI, BUDI), false), Ok(()));
}

#[test]
fn only_listed_protocol_messages_are_passed_over() {
    let of_type = |kind: Option<Type>| {
        let protocol = ProtocolMessage { r#type: kind, ..Default::default() };
        let message = Message { protocol_message: MessageField::some(protocol), ..Message::default() };
        event_with(&info(BUDI, BUDI), &message)
    };
    for kind in update::PASSED_OVER {
        assert_eq!(of_type(Some(kind)), Err(SkipReason::Protocol), "{kind:?}");
    }
    // A type that is newer than the library is none, and so are those without a target or without a name here.
    for kind in [None, Some(Type::REVOKE), Some(Type::MESSAGE_EDIT), Some(Type::REMINDER_MESSAGE)] {
        let told = of_type(kind).expect("an event");
        assert!(told.is_unreadable(), "{kind:?}: {told:?}");
    }
}

#[test]
fn what_holds_nothing_known_is_unknown_and_keeps_its_bytes() {
    let context = MessageContextInfo { message_secret: Some(vec![1; 32]), ..Default::default() };
    let newer = Message { message_context_info: MessageField::some(context), ..Message::default() };
    let reaction = MessageField::some(ReactionMessage { text: Some("👍".to_owned()), ..Default::default() });
    let aimless = Message { reaction_message: reaction, ..Message::default() };
    for message in [Message::default(), newer, aimless] {
        let (kind, data) = told_of(&info(BUDI, BUDI), &message);
        assert_eq!((kind.as_str(), &data["messageType"]), ("message.received", &json!("unknown")));
        let bytes = BASE64_STANDARD.decode(data["content"]["raw"]["base64"].as_str().expect("bytes")).expect("base64");
        assert_eq!(Message::decode_from_slice(&bytes).expect("protobuf"), message);
    }
}

#[test]
fn what_is_sealed_with_a_secret_that_nobody_knows_is_undecryptable() {
    use waproto::whatsapp::message as m;
    for message in [
        Message { enc_reaction_message: MessageField::some(m::EncReactionMessage::default()), ..Message::default() },
        Message { enc_comment_message: MessageField::some(m::EncCommentMessage::default()), ..Message::default() },
        Message {
            enc_event_response_message: MessageField::some(m::EncEventResponseMessage::default()),
            ..Message::default()
        },
        Message {
            secret_encrypted_message: MessageField::some(m::SecretEncryptedMessage::default()),
            ..Message::default()
        },
    ] {
        let (kind, data) = told_of(&info(BUDI, BUDI), &message);
        assert_eq!((kind.as_str(), &data["reason"]), ("message.undecryptable", &json!("secret_unknown")));
        assert_eq!(data["messageId"], "3EB0");
    }
}

#[test]
fn a_received_message_is_the_contract_and_what_is_beside_it() {
    let (kind, direct) = told_of(&info(BUDI, BUDI), &text("hello"));
    assert_eq!(kind, "message.received");
    let budi = json!({"jid": BUDI, "pn": BUDI, "lid": "900@lid"});
    assert_eq!(
        direct,
        json!({
            "messageId": "3EB0",
            "from": BUDI,
            "timestamp": 1_790_000_000_000_i64,
            "messageType": "text",
            "content": {"text": "hello"},
            "sender": {"jid": BUDI, "pushName": "Budi"},
            "reply": null,
            "mentions": [],
            "mentioned": [],
            "mentionsAll": false,
            "related": null,
            "context": {"ad": null, "channel": null},
            "forwarded": false,
            "forwardingScore": 0,
            "viewOnce": false,
            "expiresAfter": null,
            "linkPreview": null,
            "media": null,
            "chat": budi,
            "author": budi,
            "participant": null,
            "fromMe": false,
            "session": "default",
            "eventId": direct["eventId"],
        })
    );
    let (_, by_lid) = told_of(&info("900@lid", "900:3@lid"), &text("hello"));
    assert_eq!(by_lid, direct, "the same person, the same event");
    let mut nameless = info(GROUP, "900@lid");
    nameless.push_name.clear();
    let (_, in_group) = told_of(&nameless, &text("hello"));
    assert_eq!(in_group["sender"], json!({"jid": GROUP, "pushName": "Unknown"}));
    assert_eq!((&in_group["participant"], &in_group["author"]), (&json!(BUDI), &budi));
    assert_eq!(in_group["chat"], json!({"jid": GROUP, "pn": null, "lid": null}));
}

#[test]
fn what_the_phone_sent_is_sent() {
    let (kind, data) = told_of(&info("900@lid", "111:0@s.whatsapp.net"), &text("from the phone"));
    assert_eq!(kind, "message.sent");
    assert_eq!((&data["to"], &data["fromDevice"], &data["fromMe"]), (&json!(BUDI), &json!(true), &json!(true)));
    assert_eq!(data["timestamp"], "2026-09-21T14:13:20.000Z");
    assert_eq!(data["author"], json!({"jid": "111@s.whatsapp.net", "pn": "111@s.whatsapp.net", "lid": "222@lid"}));
    assert_eq!(data["participant"], Value::Null);
}

#[test]
fn a_reaction_names_its_message_and_who_wrote_that() {
    let reaction = |key, emoji: &str| Message {
        reaction_message: MessageField::some(ReactionMessage {
            key,
            text: Some(emoji.to_owned()),
            sender_timestamp_ms: Some(7),
            ..Default::default()
        }),
        ..Message::default()
    };
    for (chat, sender, key, author) in [
        // In a key "me" is the person who wrote the key.
        (BUDI, BUDI, key("A", false, None), json!("111@s.whatsapp.net")),
        (BUDI, BUDI, key("A", true, None), json!(BUDI)),
        (BUDI, "111@s.whatsapp.net", key("A", false, None), json!(BUDI)),
        (BUDI, "111@s.whatsapp.net", key("A", true, None), json!("111@s.whatsapp.net")),
        (GROUP, BUDI, key("A", false, Some("222@lid")), json!("111@s.whatsapp.net")),
        (GROUP, BUDI, key("A", false, None), Value::Null),
    ] {
        let (kind, data) = told_of(&info(chat, sender), &reaction(key, "👍"));
        assert_eq!(kind, "message.reaction");
        assert_eq!(data["messageAuthor"]["jid"], author, "{chat} {sender}");
        assert_eq!(
            (&data["messageId"], &data["emoji"], &data["reactionId"]),
            (&json!("A"), &json!("👍"), &json!("3EB0"))
        );
        assert_eq!(data["timestamp"], 7);
    }
    let (_, taken_back) = told_of(&info(BUDI, BUDI), &reaction(key("A", true, None), ""));
    assert_eq!(taken_back["emoji"], "");
}

fn protocol(kind: Type, key: MessageField<MessageKey>, edited: Option<Message>) -> Message {
    let protocol = ProtocolMessage {
        r#type: Some(kind),
        key,
        edited_message: edited.map(MessageField::some).unwrap_or_default(),
        timestamp_ms: Some(9),
        ..Default::default()
    };
    Message { protocol_message: MessageField::some(protocol), ..Message::default() }
}

#[test]
fn an_edit_holds_what_the_message_is_now() {
    let (kind, data) =
        told_of(&info(BUDI, BUDI), &protocol(Type::MESSAGE_EDIT, key("A", true, None), Some(text("new"))));
    assert_eq!(kind, "message.edited");
    assert_eq!((&data["messageId"], &data["editId"], &data["timestamp"]), (&json!("A"), &json!("3EB0"), &json!(9)));
    assert_eq!((&data["messageType"], &data["content"]), (&json!("text"), &json!({"text": "new"})));
}

#[test]
fn a_deletion_is_the_writers_or_an_administrators() {
    for (sender, key, by_admin) in [
        (BUDI, key("A", true, None), json!(false)),
        (BUDI, key("A", false, Some(BUDI)), json!(false)),
        (BUDI, key("A", false, Some("222@lid")), json!(true)),
        // The key does not say whose message it was.
        (BUDI, key("A", false, None), Value::Null),
    ] {
        let (kind, data) = told_of(&info(GROUP, sender), &protocol(Type::REVOKE, key, None));
        assert_eq!(kind, "message.revoked");
        assert_eq!((&data["messageId"], &data["revokeId"]), (&json!("A"), &json!("3EB0")));
        assert_eq!(data["byAdmin"], by_admin);
    }
}

#[test]
fn a_vote_is_opened_with_the_secret_of_its_poll() {
    let (secret, polls) = (vec![7; 32], PollStore::default());
    let option =
        |name: &str| poll_creation_message::Option { option_name: Some(name.to_owned()), ..Default::default() };
    let poll = Message {
        poll_creation_message_v3: MessageField::some(PollCreationMessage {
            name: Some("Lunch?".to_owned()),
            options: vec![option("Rice"), option("Soup")],
            ..Default::default()
        }),
        message_context_info: MessageField::some(MessageContextInfo {
            message_secret: Some(secret.clone()),
            ..Default::default()
        }),
        ..Message::default()
    };
    let vote = |chosen: &[&str], voter: &str| {
        let hashes: Vec<Vec<u8>> = chosen.iter().map(|name| compute_option_hash(name).to_vec()).collect();
        let (payload, iv) = encrypt_poll_vote_with_secret(&hashes, &secret, "POLL", "222@lid", voter).unwrap();
        let update = PollUpdateMessage {
            poll_creation_message_key: key("POLL", false, None),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }),
            sender_timestamp_ms: Some(5),
            ..Default::default()
        };
        Message { poll_update_message: MessageField::some(update), ..Message::default() }
    };
    let info = info(BUDI, BUDI);
    let (kind, unknown) = told_with(&info, &vote(&["Soup"], "900@lid"), &polls).unwrap();
    assert_eq!(kind, "poll.vote");
    assert_eq!((&unknown["pollName"], &unknown["selectedOptions"]), (&Value::Null, &Value::Null));
    polls.add_message(&directory().canonical_address(&jid(BUDI)), "POLL", &poll);
    // An option that was added later, of which Kurir has not heard yet: to take the vote back is something else.
    for chosen in [&["Tea"][..], &["Soup", "Tea"]] {
        let (_, data) = told_with(&info, &vote(chosen, "900@lid"), &polls).unwrap();
        assert_eq!((&data["pollName"], &data["selectedOptions"]), (&json!("Lunch?"), &Value::Null));
    }
    let added = Message {
        poll_add_option_message: MessageField::some(PollAddOptionMessage {
            poll_creation_message_key: key("POLL", false, None),
            add_option: MessageField::some(option("Tea")),
            ..Default::default()
        }),
        ..Message::default()
    };
    let (_, data) = told_with(&info, &added, &polls).unwrap();
    assert_eq!((&data["messageType"], &data["content"]), (&json!("poll_option"), &json!({"option": "Tea"})));
    assert_eq!(data["related"], json!({"kind": "poll", "messageId": "POLL"}));
    polls.add_option(&directory().known_addresses(&jid(BUDI)), "POLL", "Tea");
    let (_, data) = told_with(&info, &vote(&["Soup", "Tea"], "900@lid"), &polls).unwrap();
    assert_eq!(data["selectedOptions"], json!(["Soup", "Tea"]));
    for (chosen, voter, expected) in [
        (&["Soup"][..], "900@lid", json!(["Soup"])),
        (&["Soup", "Rice"], "900@lid", json!(["Rice", "Soup"])),
        (&[], "900@lid", json!([])),
    ] {
        let (_, data) = told_with(&info, &vote(chosen, voter), &polls).unwrap();
        assert_eq!(
            (&data["messageId"], &data["voteId"], &data["timestamp"]),
            (&json!("POLL"), &json!("3EB0"), &json!(5))
        );
        assert_eq!((&data["pollName"], &data["selectedOptions"]), (&json!("Lunch?"), &expected));
    }
    let (_, forged) = told_with(&info, &vote(&["Soup"], "901@lid"), &polls).unwrap();
    assert_eq!(forged["selectedOptions"], Value::Null, "another one's vote");
}

#[test]
fn an_answer_to_an_event_is_opened_with_the_secret_of_the_event() {
    use wacore::event::encrypt_event_response_with_secret;
    use waproto::whatsapp::message as m;
    let (secret, polls) = (vec![7; 32], PollStore::default());
    let event = Message {
        event_message: MessageField::some(m::EventMessage { name: Some("Launch".to_owned()), ..Default::default() }),
        message_context_info: MessageField::some(MessageContextInfo {
            message_secret: Some(secret.clone()),
            ..Default::default()
        }),
        ..Message::default()
    };
    let response = m::EventResponseMessage {
        response: Some(m::event_response_message::EventResponseType::NOT_GOING),
        extra_guest_count: Some(2),
        ..Default::default()
    };
    let answer = |person: &str| {
        let sealed = encrypt_event_response_with_secret(&response, &secret, "EVENT", "222@lid", person);
        let (payload, iv) = sealed.unwrap();
        let sealed = m::EncEventResponseMessage {
            event_creation_message_key: key("EVENT", false, None),
            enc_payload: Some(payload),
            enc_iv: Some(iv.to_vec()),
        };
        Message { enc_event_response_message: MessageField::some(sealed), ..Message::default() }
    };
    let info = info(BUDI, BUDI);
    let (kind, _) = told_with(&info, &answer("900@lid"), &polls).unwrap();
    assert_eq!(kind, "message.undecryptable", "the event was never seen");
    polls.add_message(&directory().canonical_address(&jid(BUDI)), "EVENT", &event);
    for person in ["900@lid", BUDI] {
        let (kind, data) = told_with(&info, &answer(person), &polls).unwrap();
        assert_eq!((kind.as_str(), &data["messageType"]), ("message.received", &json!("event_response")));
        assert_eq!(data["content"], json!({"response": "not_going", "extraGuests": 2}));
        assert_eq!(data["related"], json!({"kind": "rsvp", "messageId": "EVENT"}));
    }
    let (kind, _) = told_with(&info, &answer("901@lid"), &polls).unwrap();
    assert_eq!(kind, "message.undecryptable", "another one's answer");
}

#[test]
fn what_only_the_head_of_a_message_says_is_related_too() {
    use waproto::whatsapp::message as m;
    let mut head = info(BUDI, BUDI);
    head.comment_target = key("POST", false, None).into_option();
    let (_, data) = told_of(&head, &text("well said"));
    assert_eq!(data["related"], json!({"kind": "comment", "messageId": "POST"}));
    let mut head = info(BUDI, BUDI);
    head.meta_info.target_id = Some("EVENT".to_owned());
    let event = m::EventMessage { name: Some("Later".to_owned()), ..Default::default() };
    let (_, data) = told_of(&head, &Message { event_message: MessageField::some(event), ..Message::default() });
    assert_eq!(data["related"], json!({"kind": "event_edit", "messageId": "EVENT"}));
    assert_eq!(told_of(&head, &text("hello")).1["related"], Value::Null);
}

#[test]
fn in_a_broadcast_list_the_message_is_from_its_writer() {
    let (_, data) = told_of(&info("123@broadcast", "900@lid"), &text("to all of you"));
    assert_eq!((&data["from"], &data["sender"]["jid"]), (&json!(BUDI), &json!(BUDI)));
    assert_eq!((&data["chat"]["jid"], &data["participant"]), (&json!("123@broadcast"), &json!(BUDI)));
    let (_, status) = told_of(&info("status@broadcast", "900@lid"), &text("my day"));
    assert_eq!(status["from"], "status@broadcast");
}

#[test]
fn a_new_disappearing_time_is_a_change_of_the_chat() {
    let setting = |seconds: Option<u32>| {
        let protocol = ProtocolMessage {
            r#type: Some(Type::EPHEMERAL_SETTING),
            ephemeral_expiration: seconds,
            ..Default::default()
        };
        Message { protocol_message: MessageField::some(protocol), ..Message::default() }
    };
    for seconds in [0, 86_400] {
        let (kind, data) = told_of(&info(BUDI, BUDI), &setting(Some(seconds)));
        assert_eq!((kind.as_str(), &data["change"]), ("chat.updated", &json!("expiration")));
        assert_eq!((&data["details"], &data["chat"]["jid"]), (&json!({"seconds": seconds}), &json!(BUDI)));
    }
    assert_eq!(told_of(&info(BUDI, BUDI), &setting(None)).0, "message.received", "no time is not zero");
}

#[test]
fn what_is_learnt_between_two_deliveries_does_not_change_the_id() {
    let session = SessionId::default();
    let (nothing, learnt) =
        (AddressDirectory::of_account(Some(jid("111@s.whatsapp.net")), Some(jid("222@lid"))), directory());
    let (info, message) = (info("900@lid", "900:3@lid"), text("hello"));
    let event = |directory: &AddressDirectory| {
        let seen = MappingContext { info: &info, message: &message, directory, identity: &nothing, session: &session };
        map_message(&seen, &PollStore::default()).expect("an event")
    };
    let (first, second) = (event(&nothing), event(&learnt));
    assert_eq!(first.id, second.id);
    let from = |event: &MessageEvent| serde_json::to_value(&event.data).unwrap()["from"].clone();
    assert_eq!((from(&first), from(&second)), (json!("900@lid"), json!(BUDI)), "each says what was known");
}

//! One event of each kind, made from the contract's types, as the gateway stores it.

#[path = "businesses.rs"]
mod businesses;

use super::{ID, event, sales};
use crate::event::StoredEvent;
use kurir_contract::{
    address::ChatJid,
    event::{
        AckStatus, CallEvent, ConnectionStatus, ContactCard, ContactChange, ContactUpdated, ErrorOccurred, EventId,
        EventOrigin, GroupChange, GroupParticipants, GroupUpdated, KnownAddresses, MediaInfo, MessageAck,
        MessageContent, MessageContext, MessageEdited, MessageReaction, MessageReceived, MessageRevoked, MessageSender,
        MessageSent, ParticipantAction, PollVote, PresenceState, PresenceUpdated, QuotedMessage, SessionEnded,
    },
    session::SessionStatus,
};
use serde_json::{Value, json};

const BUDI: &str = "6281234567890@s.whatsapp.net";
const BUDIS_LID: &str = "100000000000001@lid";
const ME: &str = "6289999999999@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";
const AT: i64 = 1_795_526_845_000;
const ISO: &str = "2026-11-24T13:27:25.042Z";

fn jid(jid: &str) -> ChatJid {
    ChatJid::from_whatsapp(jid)
}

fn party(address: &str) -> KnownAddresses {
    let lid = (address == BUDI).then(|| jid(BUDIS_LID));
    KnownAddresses { lid, ..KnownAddresses::from_jid(jid(address)) }
}

fn origin(chat: &str, author: &str) -> EventOrigin {
    EventOrigin {
        from: jid(chat),
        chat: party(chat),
        author: party(author),
        participant: (chat == GROUP).then(|| jid(author)),
        from_me: author == ME,
        session: sales(),
        event_id: EventId::from_header(ID),
        truncated: Vec::new(),
        original_bytes: None,
    }
}

fn received(chat: &str, content: MessageContent, context: MessageContext) -> StoredEvent {
    let received = MessageReceived {
        message_id: "3EB0A1".to_owned(),
        timestamp: AT,
        content,
        sender: MessageSender { jid: jid(chat), push_name: "Budi".to_owned(), verified_name: None },
        context,
        origin: origin(chat, BUDI),
    };
    event("message.received", received)
}

fn plain(text: &str) -> MessageContent {
    MessageContent::Text { text: text.to_owned() }
}

pub fn text() -> StoredEvent {
    received(BUDI, plain("Hello"), MessageContext::default())
}

fn sent(chat: &str, from_device: bool) -> StoredEvent {
    let sent = MessageSent {
        message_id: "3EB0B2".to_owned(),
        to: jid(chat),
        content: plain("Hi"),
        timestamp: "2026-11-24T13:27:26.000Z".to_owned(),
        from_device,
        context: MessageContext::default(),
        origin: origin(chat, ME),
    };
    event("message.sent", sent)
}

/// All kinds of events, each under a name.
pub fn events() -> Vec<(&'static str, StoredEvent)> {
    [contents(), businesses::events(), changes(), groups_and_calls(), states()].into_iter().flatten().collect()
}

fn contents() -> Vec<(&'static str, StoredEvent)> {
    let of = |content| received(BUDI, content, MessageContext::default());
    let with =
        |content, media| received(BUDI, content, MessageContext { media: Some(media), ..MessageContext::default() });
    let own = str::to_owned;
    let card = |name: &str| ContactCard { display_name: own(name), vcard: format!("BEGIN:VCARD {name}") };
    let document = MessageContent::Document {
        caption: None,
        file_name: own("bill.pdf"),
        mimetype: own("application/pdf"),
        file: None,
    };
    let file = MediaInfo { bytes: Some(12_345), caption: Some(own("Your bill")), ..MediaInfo::default() };
    let voice = MediaInfo { voice_note: true, seconds: Some(7), bytes: Some(9_000), ..MediaInfo::default() };
    let answer = QuotedMessage {
        message_id: own("3EB0Q1"),
        author: Some(jid(ME)),
        chat: None,
        quoted: Some(plain("How are you?")),
    };
    let answering = MessageContext { reply: Some(answer), mentions: vec![jid(ME)], ..MessageContext::default() };
    let poll =
        |selectable| MessageContent::Poll { name: own("Where?"), options: vec![own("Here"), own("There")], selectable };
    let reply =
        MessageContent::ListReply { title: own("Small"), description: own("The small one"), row_id: own("row-1") };
    vec![
        ("text", text()),
        ("text_in_a_group", received(GROUP, plain("Hello all"), MessageContext::default())),
        ("text_that_answers", received(GROUP, plain("Fine"), answering)),
        (
            "image_without_a_file",
            of(MessageContent::Image {
                caption: own("Look").into(),
                mimetype: own("image/jpeg"),
                file_name: None,
                file: None,
            }),
        ),
        ("document_with_its_file", downloaded(&with(document, file))),
        (
            "voice_note",
            with(
                MessageContent::Audio {
                    caption: None,
                    mimetype: own("audio/ogg; codecs=opus"),
                    file_name: None,
                    file: None,
                },
                voice,
            ),
        ),
        ("contact_card", of(MessageContent::Contact { display_name: own("Ani"), vcard: own("BEGIN:VCARD Ani") })),
        (
            "contacts",
            of(MessageContent::Contacts { display_name: own("2 contacts"), contacts: vec![card("Ani"), card("Eko")] }),
        ),
        (
            "location",
            of(MessageContent::Location {
                latitude: -6.2,
                longitude: 106.8,
                name: own("Monas"),
                address: own("Jakarta"),
                url: None,
                comment: None,
                accuracy: None,
            }),
        ),
        (
            "live_location",
            of(MessageContent::LiveLocation {
                latitude: -6.2,
                longitude: 106.8,
                caption: own("On my way").into(),
                accuracy: Some(10),
                speed: None,
                sequence: Some(3),
            }),
        ),
        ("poll", of(poll(0))),
        ("poll_with_one_choice", of(poll(1))),
        ("list_reply", of(reply)),
        ("button_reply", of(MessageContent::ButtonReply { text: own("Yes"), button_id: own("yes") })),
        ("pin", of(MessageContent::Pin { message_id: own("3EB0A0"), pinned: true })),
        ("unknown", of(MessageContent::Unknown { raw: json!({ "someNewMessage": { "name": "?" } }) })),
        ("sent", sent(BUDI, false)),
        ("sent_to_a_group", sent(GROUP, false)),
        ("sent_on_the_phone", sent(BUDI, true)),
    ]
}

/// What the gateway adds when it has fetched the file.
fn downloaded(event: &StoredEvent) -> StoredEvent {
    let mut body: Value = serde_json::from_slice(&event.payload).unwrap();
    let file = json!({
        "mediaDownloaded": true, "filename": "document_3EB0A2_1_x.pdf", "filepath": "media/document_3EB0A2_1_x.pdf",
        "fileSize": 12_345, "mimeType": "application/pdf", "downloadUrl": "/media/document_3EB0A2_1_x.pdf",
        "base64": "QUJD",
    });
    for (name, value) in file.as_object().unwrap() {
        body["data"]["content"][name] = value.clone();
    }
    super::stored("message.received", body.to_string())
}

fn changes() -> Vec<(&'static str, StoredEvent)> {
    let id = || "3EB0A1".to_owned();
    let ack = |status, chat, author| {
        event("message.ack", MessageAck { message_id: id(), status, timestamp: AT, origin: origin(chat, author) })
    };
    let reaction = |emoji: &str, message_author: Option<&str>, chat, author| {
        let (emoji, reaction_id, message_author) = (emoji.to_owned(), "3EB0R1".to_owned(), message_author.map(party));
        let origin = origin(chat, author);
        let data = MessageReaction { message_id: id(), emoji, reaction_id, message_author, timestamp: AT, origin };
        event("message.reaction", data)
    };
    let revoked = |by_admin, author| {
        let (revoke_id, message_author, origin) = ("3EB0D1".to_owned(), Some(party(BUDI)), origin(GROUP, author));
        let data = MessageRevoked {
            message_id: id(),
            revoke_id,
            message_author,
            by_admin: Some(by_admin),
            timestamp: AT,
            origin,
        };
        event("message.revoked", data)
    };
    let edited = MessageEdited {
        message_id: id(),
        content: plain("Better"),
        edit_id: "3EB0E1".to_owned(),
        timestamp: AT,
        context: MessageContext::default(),
        origin: origin(GROUP, BUDI),
    };
    let vote = |selected_options| {
        let (poll_name, vote_id) = (Some("Where?".to_owned()), "3EB0V1".to_owned());
        let origin = origin(BUDI, BUDI);
        let data = PollVote { message_id: id(), poll_name, selected_options, vote_id, timestamp: AT, origin };
        event("poll.vote", data)
    };
    vec![
        ("ack_of_the_server", ack(AckStatus::Server, BUDI, ME)),
        ("ack_delivered", ack(AckStatus::Delivered, BUDI, BUDI)),
        ("ack_read_in_a_group", ack(AckStatus::Read, GROUP, BUDI)),
        ("ack_played", ack(AckStatus::Played, BUDI, BUDI)),
        ("reaction_to_an_own_message", reaction("👍", Some(ME), BUDI, BUDI)),
        ("reaction_to_his_own_message", reaction("👍", Some(BUDI), BUDI, BUDI)),
        ("reaction_of_this_account", reaction("👍", Some(BUDI), BUDI, ME)),
        ("reaction_in_a_group", reaction("👍", Some("6285@s.whatsapp.net"), GROUP, BUDI)),
        ("reaction_taken_back", reaction("", None, GROUP, BUDI)),
        ("edited", event("message.edited", edited)),
        ("revoked", revoked(false, BUDI)),
        ("revoked_by_an_administrator", revoked(true, ME)),
        ("vote", vote(Some(vec!["Here".to_owned()]))),
        ("vote_that_cannot_be_read", vote(None)),
    ]
}

fn groups_and_calls() -> Vec<(&'static str, StoredEvent)> {
    let group = |change| event("group.updated", GroupUpdated { change, timestamp: AT, origin: origin(GROUP, BUDI) });
    let people = |action| {
        let participants = vec![party("6285@s.whatsapp.net"), party("200000000000002@lid")];
        let data = GroupParticipants { action, participants, reason: None, timestamp: AT, origin: origin(GROUP, BUDI) };
        event("group.participants", data)
    };
    let call = |kind, reason: Option<&str>| {
        let (call_id, group, reason) = ("C1".to_owned(), None, reason.map(str::to_owned));
        event(kind, CallEvent { call_id, video: Some(true), group, reason, timestamp: AT, origin: origin(BUDI, BUDI) })
    };
    let presence = |presence, last_seen, chat| {
        event("presence.updated", PresenceUpdated { presence, last_seen, origin: origin(chat, BUDI) })
    };
    let about = ContactChange::About { about: "Busy".to_owned() };
    let origin = origin(BUDI, BUDI);
    vec![
        ("group_subject", group(GroupChange::Subject { subject: "Family".to_owned() })),
        ("group_description", group(GroupChange::Description { description: Some("Us".to_owned()) })),
        ("group_announcement", group(GroupChange::Announcement { announcement: true })),
        ("group_locked", group(GroupChange::Locked { locked: true })),
        ("group_approval", group(GroupChange::Approval { required: true })),
        ("group_expiration", group(GroupChange::Expiration { seconds: 86_400 })),
        ("group_member_add_mode", group(GroupChange::MemberAddMode { mode: "all_member_add".to_owned() })),
        ("group_picture", group(GroupChange::Picture { removed: false })),
        ("added_to_a_group", people(ParticipantAction::Add)),
        ("removed_from_a_group", people(ParticipantAction::Remove)),
        ("promoted", people(ParticipantAction::Promote)),
        ("join_requested", people(ParticipantAction::JoinRequested)),
        ("call", call("call.received", None)),
        ("call_missed", call("call.missed", Some("timeout"))),
        ("call_taken_elsewhere", call("call.ended", Some("accepted_elsewhere"))),
        ("call_refused_elsewhere", call("call.ended", Some("rejected_elsewhere"))),
        ("call_given_up", call("call.ended", None)),
        ("presence_in_a_group", presence(PresenceState::Composing, None, GROUP)),
        ("presence", presence(PresenceState::Unavailable, Some(AT), BUDI)),
        ("contact", event("contact.updated", ContactUpdated { change: about, timestamp: AT, origin })),
    ]
}

fn states() -> Vec<(&'static str, StoredEvent)> {
    let connection = |status: SessionStatus, qr_code: Option<&str>| {
        let data = ConnectionStatus {
            is_connected: status == SessionStatus::Connected,
            qr_code: qr_code.map(str::to_owned),
            timestamp: ISO.to_owned(),
            session: sales(),
            status,
            reason: None,
            until: None,
        };
        event("connection.status", data)
    };
    let ended = SessionEnded {
        reason: Some("removed".to_owned()),
        until: None,
        timestamp: ISO.to_owned(),
        session: sales(),
        event_id: EventId::from_header(ID),
    };
    let failure = ErrorOccurred {
        error_type: ErrorOccurred::SEND_FAILED.to_owned(),
        error_message: "no".to_owned(),
        context: json!({ "jid": BUDI, "attempts": 3 }),
        timestamp: ISO.to_owned(),
    };
    vec![
        ("connected", connection(SessionStatus::Connected, None)),
        ("qr_code", connection(SessionStatus::Pairing, Some("2@abc,def"))),
        ("reconnecting", connection(SessionStatus::Reconnecting, None)),
        ("logged_out", connection(SessionStatus::LoggedOut, None)),
        ("session_logged_out", event("session.logged_out", ended)),
        ("error", event("error.occurred", failure)),
        ("custom", event("custom.event", json!({ "any": "thing" }))),
    ]
}

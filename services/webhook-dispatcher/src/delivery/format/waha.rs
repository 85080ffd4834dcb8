//! WAHA's webhooks (its documentation, "Events"; the shapes are those of its engine NOWEB).
//!
//! A flow made for `message` works unchanged. WAHA sends `message.any` for received messages, too. Here it is only what
//! this account sent: a flow that listens to both would see each message twice.

use crate::delivery::format::{
    baileys,
    event_view::EventView,
    fields::JsonFields,
    message::{AckLevel, MessageView, reaction, target},
    state::{
        CallEnd, CallView, ConnectionState, GroupChange, ParticipantChange, PresenceState, PresenceView, group_id,
    },
};
use serde_json::{Value, json};

/// The engine of these shapes. Flows read it to know the form of `_data`.
const ENGINE: &str = "NOWEB";

pub fn render(source: &EventView<'_>) -> Option<Value> {
    let (event, payload) = match source.kind {
        "message.received" => ("message", message(source, &MessageView::parse(source)?)),
        "message.sent" => ("message.any", message(source, &MessageView::parse(source)?)),
        // WAHA has no late files. A second `message` would be answered twice.
        "media.downloaded" => ("message.media", message(source, &MessageView::parse(source)?)),
        "message.ack" => ("message.ack", ack(&MessageView::parse(source)?)?),
        "message.reaction" => ("message.reaction", reacted(&MessageView::parse(source)?)),
        "message.edited" => ("message.edited", edited(source, &MessageView::parse(source)?)),
        "message.revoked" => ("message.revoked", revoked(source, &MessageView::parse(source)?)),
        "connection.status" => ("session.status", status(source)?),
        "poll.vote" => voted(&MessageView::parse(source)?),
        "call.received" => ("call.received", call(source, &CallView::parse(source.data)?)),
        "call.ended" => {
            let ended = CallView::parse(source.data)?;
            match ended.end? {
                CallEnd::Accepted => ("call.accepted", call(source, &ended)),
                CallEnd::Rejected => ("call.rejected", call(source, &ended)),
            }
        }
        "group.participants" => ("group.v2.participants", participants(source)?),
        "group.updated" => ("group.v2.update", group(source)?),
        "presence.updated" => ("presence.update", presence(source)?),
        _ => return None,
    };
    Some(json!({
        "id": source.id,
        "timestamp": source.milliseconds(),
        "session": source.session,
        "metadata": {},
        "me": null,
        "engine": ENGINE,
        "event": event,
        "payload": payload,
        "environment": {
            "version": env!("CARGO_PKG_VERSION"),
            "engine": ENGINE,
            "tier": "CORE",
            "browser": null,
        },
    }))
}

fn message(source: &EventView<'_>, message: &MessageView<'_>) -> Value {
    let (chat, participant) = (jid(message.chat), message.participant.map(jid));
    // A received message has reached this device; a sent one has reached WhatsApp.
    let (ack, ack_name) = if message.from_me { numbered(AckLevel::Server) } else { numbered(AckLevel::Delivered) };
    let media = media(source, message);
    json!({
        "id": id(message, message.id, message.from_me),
        "timestamp": message.seconds,
        "from": chat,
        "fromMe": message.from_me,
        "source": if message.data.get("fromDevice") == Some(&Value::Bool(false)) { "api" } else { "app" },
        "to": if message.participant.is_some() || message.from_me { Some(&chat) } else { None },
        "participant": participant,
        "body": message.text(),
        "hasMedia": message.has_media(),
        "mediaUrl": media.get("url"),
        "media": media,
        "ack": ack,
        "ackName": ack_name,
        "location": location(message),
        "vCards": cards(message),
        "replyTo": reply(message),
        "_data": data(message),
    })
}

fn media(source: &EventView<'_>, message: &MessageView<'_>) -> Value {
    if !message.has_media() {
        return Value::Null;
    }
    json!({
        "url": message.link(source),
        "mimetype": message.mimetype(),
        "filename": message.file_name().filter(|_| message.is_document()),
        "s3": null,
        // Says why there is no link yet, or never will be.
        "error": message.media("error").map(|error| json!({ "message": error })),
    })
}

fn cards<'a>(message: &MessageView<'a>) -> Option<Vec<&'a str>> {
    match message.kind {
        "contact" => message.content.first_text(&["vcard"]).map(|vcard| vec![vcard]),
        "contacts" => {
            Some(message.content.list("contacts").filter_map(|card| JsonFields(card).first_text(&["vcard"])).collect())
        }
        _ => None,
    }
}

fn reply(message: &MessageView<'_>) -> Option<Value> {
    let reply = message.reply()?;
    Some(json!({
        "id": reply.first_text(&["messageId"])?,
        "participant": reply.address(&["author"]).map(jid),
        "body": message.quoted().and_then(|quoted| quoted.text()),
    }))
}

fn location(message: &MessageView<'_>) -> Option<Value> {
    matches!(message.kind, "location" | "live_location").then(|| {
        json!({
            "latitude": message.content.get("latitude"),
            "longitude": message.content.get("longitude"),
            "name": message.content.first_text(&["name"]),
            "address": message.content.first_text(&["address"]),
            "description": message.content.first_text(&["name", "address", "caption"]),
        })
    })
}

/// Flows look up the writer's name here. The rest is as the engine has it.
fn data(message: &MessageView<'_>) -> Value {
    let (_, content) = baileys::content(message);
    json!({
        "key": baileys::key(message),
        "messageTimestamp": message.seconds,
        "pushName": message.push_name,
        "notifyName": message.push_name,
        "message": content,
    })
}

fn ack(message: &MessageView<'_>) -> Option<Value> {
    let (ack, name) = numbered(AckLevel::parse(message.data)?);
    let chat = jid(message.chat);
    Some(json!({
        "id": id(message, message.id, true),
        "from": chat,
        "to": message.participant.map(|_| &chat),
        "participant": message.participant.map(jid),
        // It is about a message of ours. `fromMe` in Kurir's event is about who received or read it.
        "fromMe": true,
        "ack": ack,
        "ackName": name,
        "_data": message.data.0,
    }))
}

fn numbered(ack: AckLevel) -> (i8, &'static str) {
    match ack {
        AckLevel::Server => (1, "SERVER"),
        AckLevel::Delivered => (2, "DEVICE"),
        AckLevel::Read => (3, "READ"),
        AckLevel::Played => (4, "PLAYED"),
    }
}

fn reacted(message: &MessageView<'_>) -> Value {
    let chat = jid(message.chat);
    let to = target(message);
    json!({
        "id": id(message, message.id, message.from_me),
        "timestamp": message.seconds,
        "from": chat,
        "fromMe": message.from_me,
        "source": "app",
        "to": message.participant.map(|_| &chat),
        "participant": message.participant.map(jid),
        "reaction": { "text": reaction(message), "messageId": id(&to, to.id, to.from_me) },
        "_data": message.data.0,
    })
}

fn edited(source: &EventView<'_>, edited: &MessageView<'_>) -> Value {
    let mut payload = message(source, edited);
    payload["editedMessageId"] = target(edited).id.into();
    payload
}

fn revoked(source: &EventView<'_>, revoked: &MessageView<'_>) -> Value {
    json!({
        "revokedMessageId": target(revoked).id,
        "after": message(source, revoked),
        // Kurir does not keep the text from before.
        "before": null,
        "_data": revoked.data.0,
    })
}

/// A vote that was not decrypted has an event of its own, as in WAHA.
fn voted(vote: &MessageView<'_>) -> (&'static str, Value) {
    let chat = jid(vote.chat);
    let in_group = vote.participant.map(|_| &chat);
    let chosen: Option<Vec<&Value>> =
        vote.data.get("selectedOptions").map(|_| vote.data.list("selectedOptions").collect());
    let event = if chosen.is_some() { "poll.vote" } else { "poll.vote.failed" };
    // Kurir's event does not say who asked. A flow that waits for votes has asked itself.
    let asked = MessageView { participant: None, ..*vote };
    let poll = vote.data.first_text(&["messageId"]).unwrap_or(vote.id);
    let payload = json!({
        "vote": {
            "id": id(vote, vote.id, vote.from_me),
            "from": chat,
            "fromMe": vote.from_me,
            "to": in_group,
            "participant": vote.participant.map(jid),
            "selectedOptions": chosen.unwrap_or_default(),
            "timestamp": vote.seconds,
        },
        "poll": { "id": id(&asked, poll, true), "from": chat, "fromMe": true, "to": in_group, "participant": null },
        "_data": vote.data.0,
    });
    (event, payload)
}

fn status(source: &EventView<'_>) -> Option<Value> {
    let status = match ConnectionState::parse(source.data)? {
        ConnectionState::Open => "WORKING",
        ConnectionState::Connecting => "STARTING",
        ConnectionState::Pairing => "SCAN_QR_CODE",
        ConnectionState::Ended(_) => "FAILED",
    };
    Some(json!({
        "name": source.session,
        "status": status,
        "statuses": [{ "status": status, "timestamp": source.milliseconds() }],
    }))
}

fn call(source: &EventView<'_>, call: &CallView<'_>) -> Value {
    json!({
        "id": call.id,
        "from": jid(call.from),
        "timestamp": source.data.seconds("timestamp").unwrap_or_else(|| source.seconds()),
        "isVideo": call.is_video,
        "isGroup": call.is_group,
        "_data": source.data.0,
    })
}

fn participants(source: &EventView<'_>) -> Option<Value> {
    let data = source.data;
    let (kind, role) = match ParticipantChange::parse(data)? {
        ParticipantChange::Added => ("join", "participant"),
        ParticipantChange::Removed => ("leave", "left"),
        ParticipantChange::Promoted => ("promote", "admin"),
        ParticipantChange::Demoted => ("demote", "participant"),
    };
    let participants: Vec<Value> =
        data.addresses("participants").into_iter().map(|who| json!({ "id": jid(who), "role": role })).collect();
    Some(json!({
        "type": kind,
        "timestamp": source.milliseconds(),
        "group": { "id": group_id(data)? },
        "participants": participants,
        "_data": data.0,
    }))
}

fn group(source: &EventView<'_>) -> Option<Value> {
    let data = source.data;
    let (name, value) = match GroupChange::parse(data)? {
        GroupChange::Subject(subject) => ("subject", json!(subject)),
        GroupChange::Description(description) => ("description", json!(description.unwrap_or_default())),
        GroupChange::Announcement(only_admins) => ("membersCanSendMessages", json!(!only_admins)),
        GroupChange::Approval(required) => ("newMembersApprovalRequired", json!(required)),
        GroupChange::MembersAdd(all) => ("membersCanAddNewMember", json!(all)),
        // WAHA has no field for these.
        GroupChange::Locked(_) | GroupChange::Expiration(_) => return None,
    };
    let group = json!({ "id": group_id(data)?, name: value });
    Some(json!({ "timestamp": source.milliseconds(), "group": group, "_data": data.0 }))
}

fn presence(source: &EventView<'_>) -> Option<Value> {
    let PresenceView { chat, who, doing, last_seen } = PresenceView::parse(source.data)?;
    let known = match doing {
        PresenceState::Available => "online",
        PresenceState::Unavailable => "offline",
        PresenceState::Composing => "typing",
        PresenceState::Recording => "recording",
        PresenceState::Paused => "paused",
    };
    let presence = json!({ "participant": jid(who), "lastKnownPresence": known, "lastSeen": last_seen });
    Some(json!({ "id": jid(chat), "presences": [presence] }))
}

/// A message's id in WAHA's form: `<from me>_<chat>_<id>`, in groups followed by the writer.
fn id(message: &MessageView<'_>, id: &str, from_me: bool) -> String {
    let chat = jid(message.chat);
    match message.participant {
        Some(participant) => format!("{from_me}_{chat}_{id}_{}", jid(participant)),
        None => format!("{from_me}_{chat}_{id}"),
    }
}

/// WAHA writes a person's address with the server `c.us`, and all others as WhatsApp does.
fn jid(jid: &str) -> String {
    match jid.strip_suffix("@s.whatsapp.net") {
        Some(user) => format!("{user}@c.us"),
        None => jid.to_owned(),
    }
}

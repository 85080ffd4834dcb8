//! Evolution API's webhooks, version 2 (its documentation, "Webhooks"; `data` comes from the library Baileys).
//!
//! All events go to one URL, as with its setting `webhook_by_events: false`.

use crate::delivery::format::{
    baileys::{self, without_nulls},
    event_view::EventView,
    fields::JsonFields,
    message::{AckLevel, MessageView, reaction, target},
    qr_picture,
    state::{
        CallEnd, CallView, ConnectionState, GroupChange, ParticipantChange, PresenceState, PresenceView, group_id,
    },
};
use kurir_contract::session::SessionStatus;
use serde_json::{Map, Value, json};

pub fn render(source: &EventView<'_>) -> Option<Value> {
    let (event, data) = match source.kind {
        "message.received" => ("messages.upsert", message(source, &MessageView::parse(source)?)),
        // What was sent on the phone comes as any other message, with `fromMe`.
        "message.sent" if source.data.is_true("fromDevice") => {
            ("messages.upsert", message(source, &MessageView::parse(source)?))
        }
        "message.sent" => ("send.message", message(source, &MessageView::parse(source)?)),
        "media.downloaded" => ("messages.update", downloaded(source, &MessageView::parse(source)?)),
        "message.ack" => ("messages.update", ack(source, &MessageView::parse(source)?)?),
        "message.reaction" => ("messages.upsert", reacted(source, &MessageView::parse(source)?)),
        "message.edited" => ("messages.edited", edited(&MessageView::parse(source)?)),
        "message.revoked" => ("messages.delete", revoked(&MessageView::parse(source)?)),
        "connection.status" => connection(source)?,
        "call.received" | "call.missed" | "call.ended" => ("call", call(source)?),
        "group.participants" => ("group-participants.update", participants(source.data)?),
        "group.updated" => ("groups.update", json!([group(source.data)?])),
        "presence.updated" => ("presence.update", presence(source.data)?),
        _ => return None,
    };
    Some(json!({
        "event": event,
        "instance": source.session,
        "data": data,
        "destination": null,
        "date_time": source.timestamp,
        "sender": null,
        "server_url": source.public_url,
        // A key in every request would be in every receiver's log.
        "apikey": null,
    }))
}

fn message(source: &EventView<'_>, message: &MessageView<'_>) -> Value {
    let (kind, mut content) = baileys::content(message);
    // Evolution adds both to the message of Baileys.
    if let (Some(content), true) = (content.as_object_mut(), message.has_media()) {
        let (link, base64) = (message.link(source), message.media("base64"));
        content.extend(link.map(|link| ("mediaUrl".to_owned(), link.into())));
        content.extend(base64.map(|base64| ("base64".to_owned(), base64.into())));
    }
    whole(source, message, &kind, content)
}

/// A late file: the message's new content, with the fields by which an update names its message.
fn downloaded(source: &EventView<'_>, late: &MessageView<'_>) -> Value {
    let mut data = message(source, late);
    data["messageId"] = late.id.into();
    data["keyId"] = late.id.into();
    data["remoteJid"] = late.chat.into();
    data["fromMe"] = late.from_me.into();
    data["participant"] = late.participant.into();
    without_nulls(data)
}

/// A message as Evolution keeps it: Baileys' message, its kind, and its origin.
fn whole(source: &EventView<'_>, message: &MessageView<'_>, kind: &str, content: Value) -> Value {
    json!({
        "key": baileys::key(message),
        "pushName": message.push_name,
        "status": if message.from_me { named(AckLevel::Server) } else { named(AckLevel::Delivered) },
        "message": content,
        "contextInfo": baileys::context(message),
        "messageType": kind,
        "messageTimestamp": message.seconds,
        "instanceId": source.session,
        "source": "unknown",
    })
}

fn ack(source: &EventView<'_>, message: &MessageView<'_>) -> Option<Value> {
    Some(without_nulls(json!({
        "messageId": message.id,
        "keyId": message.id,
        "remoteJid": message.chat,
        // It is about a message of ours. `fromMe` in Kurir's event is about who received or read it.
        "fromMe": true,
        "participant": message.participant,
        "status": named(AckLevel::parse(message.data)?),
        "instanceId": source.session,
    })))
}

fn named(ack: AckLevel) -> &'static str {
    match ack {
        AckLevel::Server => "SERVER_ACK",
        AckLevel::Delivered => "DELIVERY_ACK",
        AckLevel::Read => "READ",
        AckLevel::Played => "PLAYED",
    }
}

fn reacted(source: &EventView<'_>, message: &MessageView<'_>) -> Value {
    let content = json!({
        "reactionMessage": {
            "key": baileys::key(&target(message)),
            "text": reaction(message),
            // Baileys writes 64-bit numbers of the protocol as texts.
            "senderTimestampMs": (message.seconds * 1000).to_string(),
        },
    });
    whole(source, message, "reactionMessage", content)
}

fn edited(message: &MessageView<'_>) -> Value {
    let (_, content) = baileys::content(message);
    json!({
        "key": baileys::key(&target(message)),
        "type": "MESSAGE_EDIT",
        "editedMessage": content,
        "timestampMs": (message.seconds * 1000).to_string(),
    })
}

fn revoked(message: &MessageView<'_>) -> Value {
    let mut data = baileys::key(&target(message));
    data["status"] = "DELETED".into();
    data
}

fn connection(source: &EventView<'_>) -> Option<(&'static str, Value)> {
    let state = ConnectionState::parse(source.data)?;
    if let (ConnectionState::Pairing, Some(code)) = (state, source.data.first_text(&["qrCode"])) {
        let picture = qr_picture::data_url(code);
        let qrcode = json!({ "instance": source.session, "pairingCode": null, "code": code, "base64": picture });
        return Some(("qrcode.updated", json!({ "qrcode": qrcode })));
    }
    let (state, reason) = match state {
        ConnectionState::Open => ("open", 200),
        ConnectionState::Connecting | ConnectionState::Pairing => ("connecting", 200),
        ConnectionState::Ended(end) => ("close", disconnect_reason(end)),
    };
    Some(("connection.update", json!({ "instance": source.session, "state": state, "statusReason": reason })))
}

/// Baileys' `DisconnectReason` for an end.
fn disconnect_reason(end: SessionStatus) -> u16 {
    match end {
        SessionStatus::LoggedOut => 401,
        SessionStatus::Replaced => 440,
        SessionStatus::Banned | SessionStatus::Locked => 403,
        // WhatsApp's own number for an outdated client.
        SessionStatus::Outdated => 405,
        SessionStatus::Refused
        | SessionStatus::Damaged
        | SessionStatus::Connecting
        | SessionStatus::Pairing
        | SessionStatus::Connected
        | SessionStatus::Reconnecting
        | SessionStatus::ProxyUnavailable
        | SessionStatus::WaitingForBroker
        | SessionStatus::StorageFull
        | SessionStatus::StorageRefused
        | SessionStatus::StorageUnavailable => 500,
    }
}

fn call(source: &EventView<'_>) -> Option<Value> {
    let call = CallView::parse(source.data)?;
    let status = match (source.kind, call.end) {
        ("call.received", _) => "offer",
        ("call.missed", _) => "timeout",
        (_, Some(CallEnd::Accepted)) => "accept",
        (_, Some(CallEnd::Rejected)) => "reject",
        (_, None) => "terminate",
    };
    Some(json!({
        "chatId": call.chat,
        "from": call.from,
        "id": call.id,
        "date": source.timestamp,
        "offline": source.data.text("reason") == Some("offline"),
        "status": status,
        "isVideo": call.is_video,
        "isGroup": call.is_group,
    }))
}

fn participants(data: JsonFields<'_>) -> Option<Value> {
    let action = match ParticipantChange::parse(data)? {
        ParticipantChange::Added => "add",
        ParticipantChange::Removed => "remove",
        ParticipantChange::Promoted => "promote",
        ParticipantChange::Demoted => "demote",
    };
    let (who, author) = (data.addresses("participants"), data.address(&["author"]));
    Some(without_nulls(json!({ "id": group_id(data)?, "author": author, "participants": who, "action": action })))
}

fn group(data: JsonFields<'_>) -> Option<Value> {
    let (name, value) = match GroupChange::parse(data)? {
        GroupChange::Subject(subject) => ("subject", json!(subject)),
        GroupChange::Description(description) => ("desc", json!(description)),
        GroupChange::Announcement(only_admins) => ("announce", json!(only_admins)),
        GroupChange::Locked(only_admins) => ("restrict", json!(only_admins)),
        GroupChange::Approval(required) => ("joinApprovalMode", json!(required)),
        GroupChange::Expiration(seconds) => ("ephemeralDuration", json!(seconds)),
        GroupChange::MembersAdd(all) => ("memberAddMode", json!(all)),
    };
    Some(json!({ "id": group_id(data)?, "author": data.address(&["author"]), name: value }))
}

fn presence(data: JsonFields<'_>) -> Option<Value> {
    let PresenceView { chat, who, doing, last_seen } = PresenceView::parse(data)?;
    let known = match doing {
        PresenceState::Available => "available",
        PresenceState::Unavailable => "unavailable",
        PresenceState::Composing => "composing",
        PresenceState::Recording => "recording",
        PresenceState::Paused => "paused",
    };
    let mut presences = Map::new();
    presences.insert(who.to_owned(), without_nulls(json!({ "lastKnownPresence": known, "lastSeen": last_seen })));
    Some(json!({ "id": chat, "presences": presences }))
}

//! Messages as the library Baileys writes them. Evolution API passes them on, and WAHA does so in `_data`.

use super::message::Message;
use serde_json::{Map, Value, json};

/// `{remoteJid, fromMe, id}`, in groups with `participant`.
pub fn key(message: &Message<'_>) -> Value {
    let mut key = json!({ "remoteJid": message.chat, "fromMe": message.from_me, "id": message.id });
    if let Some(participant) = message.participant {
        key["participant"] = participant.into();
    }
    key
}

/// The type's name, and the message: an object whose one field has that name.
pub fn content(message: &Message<'_>) -> (String, Value) {
    let text = |names: &[&str]| message.content.first_text(names);
    let (name, content) = match message.kind {
        "text" => return ("conversation".to_owned(), json!({ "conversation": text(&["text"]).unwrap_or_default() })),
        "image" | "video" | "audio" | "document" | "sticker" => (format!("{}Message", message.kind), file(message)),
        "contact" => {
            let content = json!({ "displayName": text(&["displayName"]), "vcard": text(&["vcard"]) });
            ("contactMessage".to_owned(), content)
        }
        "location" => {
            let content = json!({
                "degreesLatitude": message.content.get("latitude"),
                "degreesLongitude": message.content.get("longitude"),
                "name": text(&["name"]),
                "address": text(&["address"]),
            });
            ("locationMessage".to_owned(), content)
        }
        // What we have no own form for is kept as WhatsApp sent it, which is what Baileys shows too.
        _ => return raw(message),
    };
    let whole = Map::from_iter([(name.clone(), without_nulls(content))]);
    (name, whole.into())
}

fn file(message: &Message<'_>) -> Value {
    json!({
        "caption": message.content.first_text(&["caption"]),
        "mimetype": message.mimetype(),
        "fileName": message.file_name().filter(|_| message.kind == "document"),
        "title": message.file_name().filter(|_| message.kind == "document"),
        "fileLength": message.content.get("fileSize").map(Value::to_string),
        "ptt": message.content.get("ptt"),
    })
}

fn raw(message: &Message<'_>) -> (String, Value) {
    let raw = message.content.within("raw").0;
    let name = raw.as_object().and_then(|fields| fields.keys().find(|name| name.ends_with("Message")));
    (name.cloned().unwrap_or_else(|| "unknown".to_owned()), raw.clone())
}

/// Baileys leaves out what is not there.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}

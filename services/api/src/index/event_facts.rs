//! What the index keeps of one event. Pure: an event may come from anybody, so no shape is taken for granted.

use kurir_contract::{clock, event::EventType, subject};
use serde_json::Value;

/// A text that is longer is cut; WhatsApp's own limit is 65,536 characters.
const LONGEST_TEXT: usize = 16 * 1024;
/// Ids and addresses are far shorter; what is longer is none.
const LONGEST_ID: usize = 256;

/// One event, as the index has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFacts {
    pub sequence: u64,
    pub id: String,
    pub event_type: String,
    pub session: String,
    /// Milliseconds since 1970, as the other times here.
    pub stored_at: i64,
    pub at: i64,
    pub chat: Option<String>,
    pub author: Option<Person>,
    pub message_id: Option<String>,
    pub from_me: bool,
    /// The new state: of an acknowledgement, a session, a job, or the type of an error.
    pub detail: Option<String>,
    /// What it is about besides a message: a job, an endpoint, another event.
    pub reference: Option<String>,
    pub change: MessageChange,
}

/// A person, with the name that they chose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Person {
    pub jid: String,
    pub lid: Option<String>,
    pub name: Option<String>,
}

/// What an event does to a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MessageChange {
    #[default]
    None,
    Written {
        kind: String,
        text: String,
        file: Option<String>,
    },
    /// Its file was downloaded later.
    File(String),
    Status(String),
    Edited(String),
    Revoked,
    Reaction(String),
}

/// An event as EVENTS has it.
pub struct StoredEvent<'a> {
    pub sequence: u64,
    pub subject: &'a str,
    pub id: Option<&'a str>,
    /// Whether a caller of the API made it.
    pub is_synthetic: bool,
    pub stored_at: i64,
    pub payload: &'a [u8],
}

/// Reads an event; none if its subject is no event's.
pub fn read_event(stored: &StoredEvent<'_>) -> Option<EventFacts> {
    let (session, event_type) = subject::parse_event(stored.subject)?;
    // A body that is no JSON is an event without facts.
    let body: Value = serde_json::from_slice(stored.payload).unwrap_or_default();
    let data = &body["data"];
    let mut facts = EventFacts {
        sequence: stored.sequence,
        id: stored.id.map_or_else(|| format!("seq_{}", stored.sequence), str::to_owned),
        event_type: event_type.to_string(),
        session: session.as_str().to_owned(),
        stored_at: stored.stored_at,
        at: event_time(&body).unwrap_or(stored.stored_at),
        chat: chat_of(data),
        message_id: id_text(&data["messageId"]),
        from_me: event_type == EventType::MESSAGE_SENT || data["fromMe"] == true,
        detail: detail_of(data),
        reference: ["jobId", "endpointId"].iter().find_map(|name| id_text(&data[*name])),
        ..EventFacts::default()
    };
    facts.reference = facts.reference.or_else(|| id_text(&data["context"]["eventId"]));
    if !stored.is_synthetic {
        facts.author = author_of(data);
        facts.change = message_change(&event_type, data);
    }
    Some(facts)
}

/// When it happened at WhatsApp, else when the event was made.
fn event_time(body: &Value) -> Option<i64> {
    let iso = |text: &Value| clock::parse(text.as_str()?).map(|at| (at.unix_timestamp_nanos() / 1_000_000) as i64);
    let of_message = &body["data"]["timestamp"];
    let plausible = |at: &i64| (0..=253_402_300_799_000).contains(at);
    of_message.as_i64().filter(plausible).or_else(|| iso(of_message)).or_else(|| iso(&body["timestamp"]))
}

fn chat_of(data: &Value) -> Option<String> {
    id_text(&data["chat"]["jid"]).or_else(|| ["from", "to", "chat"].iter().find_map(|name| id_text(&data[*name])))
}

fn author_of(data: &Value) -> Option<Person> {
    let jid = id_text(&data["author"]["jid"]).or_else(|| id_text(&data["participant"]))?;
    let name = data["sender"]["pushName"].as_str().filter(|name| !name.is_empty() && *name != "Unknown");
    let name = name.or_else(|| data["details"]["fullName"].as_str()).map(|name| cut(name, LONGEST_ID));
    Some(Person { jid, lid: id_text(&data["author"]["lid"]), name })
}

fn detail_of(data: &Value) -> Option<String> {
    let named = ["status", "state", "errorType", "reason", "action", "presence"];
    named.iter().find_map(|name| id_text(&data[*name]))
}

fn message_change(event_type: &EventType, data: &Value) -> MessageChange {
    let is = |other: EventType| *event_type == other;
    if is(EventType::MESSAGE_RECEIVED) || is(EventType::MESSAGE_SENT) {
        let kind = id_text(&data["messageType"]).unwrap_or_else(|| "unknown".to_owned());
        return MessageChange::Written { kind, text: message_text(data), file: file_of(data) };
    }
    if is(EventType::MEDIA_DOWNLOADED) {
        return file_of(data).map_or(MessageChange::None, MessageChange::File);
    }
    if is(EventType::MESSAGE_ACK) {
        return id_text(&data["status"]).map_or(MessageChange::None, MessageChange::Status);
    }
    if is(EventType::MESSAGE_EDITED) {
        return MessageChange::Edited(message_text(data));
    }
    if is(EventType::MESSAGE_REVOKED) {
        return MessageChange::Revoked;
    }
    if is(EventType::MESSAGE_REACTION) {
        return MessageChange::Reaction(cut(data["emoji"].as_str().unwrap_or_default(), 64));
    }
    MessageChange::None
}

fn file_of(data: &Value) -> Option<String> {
    id_text(&data["content"]["filename"])
}

/// Everything of a message that a person could look for.
fn message_text(data: &Value) -> String {
    let content = &data["content"];
    let named = ["text", "caption", "name", "displayName", "title", "description", "fileName", "address"];
    let mut parts: Vec<&str> = named.iter().filter_map(|name| content[*name].as_str()).collect();
    parts.extend(data["media"]["caption"].as_str());
    parts.extend(content["options"].as_array().into_iter().flatten().filter_map(Value::as_str));
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    cut(&parts.join("\n"), LONGEST_TEXT)
}

fn id_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| (1..=LONGEST_ID).contains(&text.len())).map(str::to_owned)
}

/// The text's beginning, cut between two characters.
pub fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests;

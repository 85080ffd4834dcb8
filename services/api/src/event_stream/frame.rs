//! The lines of one server-sent event. Pure.

use super::place::PresentStream;
use async_nats::{HeaderValue, jetstream::Message};
use bytes::Bytes;
use kurir_contract::{header, subject};
use serde_json::{Value, json};

/// An event; none if its subject is no event's.
pub fn event_frame(sequence: u64, stored_at: &str, message: &Message) -> Option<Bytes> {
    let (session, event_type) = subject::parse_event(&message.subject)?;
    let id = message.headers.as_ref().and_then(|headers| headers.get(header::EVENT_ID)).map(HeaderValue::as_str);
    let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let data = json!({
        "id": id, "sequence": sequence, "event": event_type, "session": session, "storedAt": stored_at, "body": body,
    });
    // JSON in one line: it has no line break outside of a string, and inside one it is escaped.
    Some(Bytes::from(format!("id: {sequence}\ndata: {data}\n\n")))
}

/// Keeps the connection alive, and the caller's place up to date while no event fits its filters.
pub fn heartbeat_frame(last: u64, stream: &PresentStream) -> Bytes {
    Bytes::from(format!(": alive\nid: {last}\n: stream {}\n\n", stream.created_milliseconds()))
}

/// Tells the caller which events are not in EVENTS any more.
pub fn gap_frame(first: u64, last: u64) -> Bytes {
    Bytes::from(format!("event: gap\nid: {last}\ndata: {{\"first\":{first},\"last\":{last}}}\n\n"))
}

/// Tells the caller that EVENTS is a new stream: what was stored in the old stream is gone, and the new one begins here.
pub fn restart_frame(last: u64) -> Bytes {
    Bytes::from(format!("event: restart\nid: {last}\ndata: {{\"after\":{last}}}\n\n"))
}

/// Whether the event belongs to the chat, under any of the chat's addresses.
pub fn is_in_chat(payload: &[u8], chat: &str) -> bool {
    let body: Value = serde_json::from_slice(payload).unwrap_or_default();
    let data = &body["data"];
    let known = ["jid", "pn", "lid"].iter().any(|name| data["chat"][*name] == chat);
    known || ["from", "to", "chat"].iter().any(|name| data[*name] == chat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_its_chat_under_any_address() {
        let event = json!({"data": {"from": "1@s.whatsapp.net", "chat": {"jid": "1@s.whatsapp.net", "lid": "9@lid"}}});
        let payload = event.to_string();
        for (chat, expected) in [("1@s.whatsapp.net", true), ("9@lid", true), ("2@lid", false)] {
            assert_eq!(is_in_chat(payload.as_bytes(), chat), expected, "{chat}");
        }
        assert!(!is_in_chat(b"no json", "9@lid"));
    }
}

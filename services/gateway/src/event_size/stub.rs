//! What is left of an event of which nothing else fits: bounded by construction, whatever the event holds. Pure.

use super::{KEPT, shortened};
use serde_json::{Map, Value, json};

/// The bytes that each text of a stub keeps.
const TEXT: usize = 100;
/// A longer name of a field is none of Kurir's.
const NAME: usize = 64;
/// Fields that are kept before all others.
const FIRST: [&str; 6] = ["messageId", "timestamp", "from", "to", "chat", "sender"];

/// The data of an event as a stub of at most `most` bytes. `size` is what the whole event had, in bytes.
///
/// Texts are short, lists are empty, and fields are taken one by one, the ids first and the nested ones last, until the
/// room is used up.
pub fn stub(data: &Value, most: usize, size: usize) -> Value {
    let mut note = Map::new();
    note.insert("truncated".to_owned(), json!(["*"]));
    note.insert("originalBytes".to_owned(), json!(size));
    let mut room = most.saturating_sub(length(&Value::Object(note.clone())));
    let mut stub = match data {
        Value::Object(fields) => kept_fields(fields, &mut room),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    stub.extend(note);
    Value::Object(stub)
}

fn kept_fields(fields: &Map<String, Value>, room: &mut usize) -> Map<String, Value> {
    let mut ordered: Vec<_> = fields.iter().filter(|(name, _)| name.len() <= NAME).collect();
    ordered.sort_by_key(|(name, value)| rank(name, value));
    let mut kept = Map::new();
    for (name, value) in ordered {
        // The name, its quotes, a colon, a comma, and the least that a value has: null.
        let costs = length(&json!(name)) + 6;
        let Some(left) = room.checked_sub(costs) else { continue };
        *room = left;
        kept.insert(name.clone(), kept_value(name, value, room));
    }
    kept
}

fn kept_value(name: &str, value: &Value, room: &mut usize) -> Value {
    let short = match value {
        Value::Object(fields) => {
            let Some(left) = room.checked_sub(2) else { return Value::Null };
            *room = left;
            return Value::Object(kept_fields(fields, room));
        }
        Value::Array(_) => return json!([]),
        Value::String(text) if !KEPT.contains(&name) => json!(shortened(text, TEXT)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    };
    match room.checked_sub(length(&short)) {
        Some(left) => {
            *room = left;
            short
        }
        None => Value::Null,
    }
}

/// What is kept first: Kurir's own fields, the ids, other simple values, then what holds fields of its own.
fn rank(name: &str, value: &Value) -> u8 {
    match value {
        _ if KEPT.contains(&name) => 0,
        _ if FIRST.contains(&name) => 1,
        Value::Object(_) => 3,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => 2,
    }
}

fn length(value: &Value) -> usize {
    value.to_string().len()
}

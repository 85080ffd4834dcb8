//! An event that is too large for NATS, made smaller. Pure.
//!
//! What matters least goes first: thumbnails and bytes, then quoted messages, then raw content, then the tails of lists,
//! then long names, and a text last of all. `data.truncated` names each field that lost something. What is left in the end
//! is a [`stub`] with the ids, the time and the type, which fits by construction.

mod stub;

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The number of fields that `truncated` names at most.
const NAMED: usize = 64;
/// The longest path in `truncated`, in bytes. The list counts towards the size of the event.
const LONGEST_PATH: usize = 120;
/// A list of numbers that is shorter than this is no file and no thumbnail.
const BYTES: usize = 32;
/// A text in raw content that is at least this long and written in base64's letters is bytes.
const LONG_BASE64: usize = 1_024;
/// The number of items that a list keeps, step by step.
const LISTS: [usize; 4] = [256, 64, 16, 4];
/// The bytes that a name, an id, a title or a description keeps, step by step.
const STRINGS: [usize; 4] = [16_384, 4_096, 1_024, 256];
/// The bytes that a person's own text keeps, step by step.
const TEXTS: [usize; 12] = [524_288, 262_144, 131_072, 65_536, 32_768, 16_384, 8_192, 4_096, 2_048, 1_024, 512, 256];
/// The fields that hold a person's own text.
const WRITTEN: [&str; 2] = ["text", "caption"];
/// The bytes of an event besides its data: the names of the envelope, a type of at most 128 characters, a time.
const ENVELOPE: usize = 256;
/// Fields that are never cut: they are Kurir's own, or distinguish events.
const KEPT: [&str; 3] = ["eventId", "session", "messageType"];

/// The event with at most `limit` bytes, if it is possible; `payload` is an event as JSON.
#[must_use]
pub fn fitted(payload: &[u8], limit: usize) -> Option<Vec<u8>> {
    if payload.len() <= limit {
        return Some(payload.to_vec());
    }
    let mut event: Value = serde_json::from_slice(payload).ok()?;
    // What the mapping left out is named, too.
    let named = event.get("data").and_then(|data| data.get("truncated")).and_then(Value::as_array);
    let names = named.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let mut cut = Cut { size: payload.len(), names };
    let steps = [Step::Bytes, Step::Quoted, Step::Raw]
        .into_iter()
        .chain(LISTS.map(Step::Lists))
        .chain(STRINGS.map(Step::Strings))
        .chain(TEXTS.map(Step::Texts))
        .chain(LISTS.map(Step::Messages));
    for step in steps {
        let data = event.get_mut("data")?;
        data.as_object_mut()?.remove("truncated");
        cut.apply(step, data, "", false);
        data.as_object_mut()?.insert("truncated".to_owned(), cut.named());
        data.as_object_mut()?.insert("originalBytes".to_owned(), json!(payload.len()));
        let fitted = serde_json::to_vec(&event).ok()?;
        if fitted.len() <= limit {
            return Some(fitted);
        }
    }
    let data = event.get_mut("data")?;
    *data = stub::stub(data, limit.checked_sub(ENVELOPE)?, payload.len());
    serde_json::to_vec(&event).ok().filter(|fitted| fitted.len() <= limit)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Bytes,
    Quoted,
    Raw,
    Lists(usize),
    Strings(usize),
    Texts(usize),
    /// The list of past messages.
    Messages(usize),
}

struct Cut {
    /// The size of the whole event, in bytes.
    size: usize,
    names: BTreeSet<String>,
}

impl Cut {
    fn named(&self) -> Value {
        self.names.iter().take(NAMED).cloned().collect()
    }

    fn name(&mut self, path: &str) {
        self.names.insert(shortened(path, LONGEST_PATH).to_owned());
    }

    fn apply(&mut self, step: Step, value: &mut Value, path: &str, is_raw: bool) {
        match value {
            Value::Object(fields) => self.apply_to_fields(step, fields, path, is_raw),
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(step, item, path, is_raw)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn apply_to_fields(&mut self, step: Step, fields: &mut Map<String, Value>, path: &str, is_raw: bool) {
        for (key, value) in fields.iter_mut() {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let is_raw = is_raw || key == "raw";
            if self.is_cut(step, key, value, is_raw) {
                self.name(&inner);
            } else {
                self.apply(step, value, &inner, is_raw);
            }
        }
    }

    /// Cuts this field itself, if the step applies to it, and says whether it did.
    fn is_cut(&self, step: Step, key: &str, value: &mut Value, is_raw: bool) -> bool {
        match (step, value) {
            (Step::Bytes, value) if is_raw && is_bytes(key, value) => *value = Value::Null,
            (Step::Quoted, value @ Value::Object(_)) if key == "quoted" => *value = Value::Null,
            (Step::Raw, value) if key == "raw" && !value.is_null() => {
                *value = json!({"omitted": "the message is too large for an event", "bytes": self.size});
            }
            (Step::Lists(most), Value::Array(items)) if key != "messages" && items.len() > most => items.truncate(most),
            (Step::Messages(most), Value::Array(items)) if items.len() > most => items.truncate(most),
            (Step::Strings(most), Value::String(text)) if !is_written(key) && !KEPT.contains(&key) => {
                return shorten(text, most);
            }
            (Step::Texts(most), Value::String(text)) if is_written(key) => return shorten(text, most),
            _ => return false,
        }
        true
    }
}

fn is_written(key: &str) -> bool {
    WRITTEN.contains(&key)
}

fn is_bytes(key: &str, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.len() >= BYTES && items.iter().all(Value::is_number),
        Value::String(text) => {
            text.len() >= BYTES && (key.to_ascii_lowercase().contains("thumbnail") || is_base64(text))
        }
        _ => false,
    }
}

/// Whether a long text looks like bytes: no person writes so much without a space.
fn is_base64(text: &str) -> bool {
    text.len() >= LONG_BASE64
        && text.len().is_multiple_of(4)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/' || b == b'=')
        && text.bytes().any(|b| b.is_ascii_uppercase())
        && text.bytes().any(|b| b.is_ascii_digit())
}

fn shorten(text: &mut String, most: usize) -> bool {
    let is_long = text.len() > most;
    let end = shortened(text, most).len();
    text.truncate(end);
    is_long
}

/// The start of the text: at most this many bytes, and no half character.
fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;

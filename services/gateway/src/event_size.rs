//! An event that is too large for NATS, made smaller. Pure.
//!
//! What matters least goes first: thumbnails and bytes, then quoted messages, then raw content, then the tails of lists,
//! then long names, and a text last of all. `data.truncated` names each field that lost something. What is left in the end
//! is a stub with the ids, the time and the type, which fits any limit that NATS can be given in earnest.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The number of fields that `truncated` names at most.
const NAMED: usize = 64;
/// The longest path in `truncated`, in bytes. The list counts towards the size of the event.
const LONGEST_PATH: usize = 120;
/// A list of numbers that is shorter than this is no file and no thumbnail.
const BYTES: usize = 32;
/// The number of items that a list keeps, step by step.
const LISTS: [usize; 4] = [256, 64, 16, 4];
/// The bytes that a name, an id, a title or a description keeps, step by step.
const STRINGS: [usize; 4] = [16_384, 4_096, 1_024, 256];
/// The bytes that a person's own text keeps, step by step.
const TEXTS: [usize; 12] = [524_288, 262_144, 131_072, 65_536, 32_768, 16_384, 8_192, 4_096, 2_048, 1_024, 512, 256];
/// The fields that hold a person's own text.
const WRITTEN: [&str; 2] = ["text", "caption"];
/// The bytes that each text of a stub keeps.
const STUB_STRING: usize = 100;
/// Fields that are never cut: they are Kurir's own, or distinguish events.
const KEPT: [&str; 3] = ["eventId", "session", "messageType"];

/// The event with at most `limit` bytes, if it is possible; `payload` is an event as JSON.
#[must_use]
pub fn fitted(payload: &[u8], limit: usize) -> Option<Vec<u8>> {
    if payload.len() <= limit {
        return Some(payload.to_vec());
    }
    let mut event: Value = serde_json::from_slice(payload).ok()?;
    let mut cut = Cut { size: payload.len(), names: BTreeSet::new() };
    let steps = [Step::Bytes, Step::Quoted, Step::Raw]
        .into_iter()
        .chain(LISTS.map(Step::Lists))
        .chain(STRINGS.map(Step::Strings))
        .chain(TEXTS.map(Step::Texts))
        .chain(LISTS.map(Step::Messages))
        .chain([Step::Stub]);
    for step in steps {
        let data = event.get_mut("data")?;
        data.as_object_mut()?.remove("truncated");
        cut.apply(step, data, "", false);
        data.as_object_mut()?.insert("truncated".to_owned(), cut.named());
        let fitted = serde_json::to_vec(&event).ok()?;
        if fitted.len() <= limit {
            return Some(fitted);
        }
    }
    None
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
    Stub,
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
            (Step::Stub, Value::String(text)) if !KEPT.contains(&key) => return shorten(text, STUB_STRING),
            (Step::Stub, value @ Value::Array(_)) => *value = json!([]),
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
        Value::String(text) => text.len() >= BYTES && key.to_ascii_lowercase().contains("thumbnail"),
        _ => false,
    }
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
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    const LIMIT: usize = 20_000;

    fn event(data: Value) -> Vec<u8> {
        serde_json::to_vec(&json!({"event": "message.received", "timestamp": "now", "data": data})).expect("JSON")
    }

    fn fit(data: Value) -> Value {
        let fitted = fitted(&event(data), LIMIT).expect("it fits");
        assert!(fitted.len() <= LIMIT, "{}", fitted.len());
        let event: Value = serde_json::from_slice(&fitted).expect("JSON");
        event["data"].clone()
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let small = event(json!({"content": {"text": "x".repeat(LIMIT / 2)}}));
        assert_eq!(fitted(&small, LIMIT), Some(small));
    }

    #[test]
    fn the_least_important_goes_first() {
        let thumbnail: Vec<u8> = vec![7; LIMIT];
        let text = "x".repeat(LIMIT / 4);
        let quoted =
            json!({"messageType": "unknown", "content": {"raw": {"list": {"jpegThumbnail": thumbnail, "title": "T"}}}});
        let data = |quoted: Value| json!({"content": {"text": text}, "reply": {"messageId": "A", "quoted": quoted}});
        let found = fit(data(quoted.clone()));
        assert_eq!(found["content"]["text"], text.as_str());
        assert_eq!(found["reply"]["quoted"]["content"]["raw"]["list"]["title"], "T");
        assert_eq!(found["truncated"], json!(["reply.quoted.content.raw.list.jpegThumbnail"]));
        let found = fit(data(json!({"messageType": "text", "content": {"text": "q".repeat(LIMIT)}})));
        assert_eq!((&found["content"]["text"], &found["reply"]["quoted"]), (&json!(text), &Value::Null));
        assert_eq!(found["truncated"], json!(["reply.quoted"]));
        let found =
            fit(json!({"messageType": "unknown", "content": {"raw": {"title": "r".repeat(LIMIT)}}, "text": "kept"}));
        assert_eq!((found["content"]["raw"]["bytes"].is_u64(), &found["truncated"]), (true, &json!(["content.raw"])));
        let mentions: Vec<String> = (0..5_000).map(|n| format!("{n}@lid")).collect();
        let found = fit(json!({"content": {"text": text}, "mentions": mentions}));
        assert_eq!(found["mentions"].as_array().map(Vec::len), Some(256));
        assert_eq!((&found["content"]["text"], &found["truncated"]), (&json!(text), &json!(["mentions"])));
        let found = fit(json!({"content": {"text": text}, "sender": {"pushName": "p".repeat(LIMIT)}}));
        assert_eq!((&found["content"]["text"], &found["truncated"]), (&json!(text), &json!(["sender.pushName"])));
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_named() {
        let found = fit(json!({"content": {"text": "ü😀".repeat(LIMIT)}, "eventId": "evt_1"}));
        let text = found["content"]["text"].as_str().expect("a text");
        assert!(text.len() > LIMIT / 4 && text.starts_with("ü😀"), "{}", text.len());
        assert_eq!((&found["truncated"], &found["eventId"]), (&json!(["content.text"]), &json!("evt_1")));
    }

    #[test]
    fn past_messages_keep_their_places_as_long_as_they_can() {
        let past = |n: usize| json!({"messageId": n.to_string(), "content": {"text": "x".repeat(2_000)}});
        let found = fit(json!({"messages": (0..20).map(past).collect::<Vec<_>>()}));
        assert_eq!(found["messages"].as_array().map(Vec::len), Some(20));
        assert_eq!(found["truncated"], json!(["messages.content.text"]));
    }

    /// Any JSON, with the names that the steps look for among its keys.
    fn random_value(random: &mut StdRng, depth: usize) -> Value {
        const KEYS: [&str; 12] = [
            "text",
            "raw",
            "quoted",
            "reply",
            "messages",
            "mentions",
            "jpegThumbnail",
            "pushName",
            "id",
            "content",
            "caption",
            "messageType",
        ];
        let kind = if depth == 0 { random.random_range(0..4) } else { random.random_range(0..7) };
        match kind {
            0 => json!(random.random::<i64>()),
            1 => Value::Null,
            2 => json!("\u{1}😀a\\\"".repeat(random.random_range(0..4_000))),
            3 => json!(vec![7_u8; random.random_range(0..4_000)]),
            4 => (0..random.random_range(0..300)).map(|n| json!(n.to_string())).collect(),
            5 => (0..random.random_range(0..8)).map(|_| random_value(random, depth - 1)).collect(),
            _ => {
                let fields = (0..random.random_range(0..8))
                    .map(|_| (KEYS[random.random_range(0..KEYS.len())].to_owned(), random_value(random, depth - 1)));
                Value::Object(fields.collect())
            }
        }
    }

    #[test]
    fn whatever_a_message_holds_its_event_fits() {
        let mut random = StdRng::seed_from_u64(22);
        for _ in 0..300 {
            let mut data = random_value(&mut random, 4);
            if !data.is_object() {
                data = json!({"content": data});
            }
            data["eventId"] = json!("evt_1");
            let Some(fitted) = fitted(&event(data.clone()), LIMIT) else {
                // Only what no sender can make: objects in objects without an end.
                panic!("it does not fit: {} bytes", event(data).len());
            };
            let found: Value = serde_json::from_slice(&fitted).expect("JSON");
            assert!(fitted.len() <= LIMIT && found["data"]["eventId"] == "evt_1");
            assert_eq!(fitted.len() < event(data).len(), found["data"]["truncated"].is_array());
        }
    }
}

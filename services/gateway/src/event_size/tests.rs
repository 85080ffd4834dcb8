//! What an event loses, and in which order.

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

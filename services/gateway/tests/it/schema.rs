//! Checks the events of a test against the committed JSON Schemas: no field is missing, and none is unknown.

use buffa::Message as _;
use kurir_contract::{event::EventEnvelope, session::SessionId};
use kurir_gateway::inbound::{
    addresses::AddressDirectory,
    mapping::{MappingContext, map_message},
    polls::PollStore,
};
use kurir_test_harness::binaries::repository;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fs};
use time::OffsetDateTime;
use wacore::types::message::MessageInfo;
use wacore_binary::Jid;
use waproto::whatsapp::Message;

/// Compares the fields of an event with its schema, through all types of Kurir's own.
///
/// # Panics
/// If they differ.
#[track_caller]
pub fn check(event: &Value) {
    let kind = event["event"].as_str().expect("an event has a type");
    let file = repository().join(format!("shared/contract/schemas/{kind}.json"));
    let schema = fs::read(&file).unwrap_or_else(|error| panic!("{kind} has no schema: {error}"));
    let schema: Value = serde_json::from_slice(&schema).expect("a schema is JSON");
    compare(event, &schema, &schema, kind);
}

fn compare(value: &Value, schema: &Value, root: &Value, at: &str) {
    let schema = resolved(schema, root);
    assert!(has_type(value, schema, root), "{at}: {value} is not of the type {schema}");
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{at}");
    }
    if let Some(items) = value.as_array()
        && let Some(of_each) = schema.get("items")
    {
        items.iter().for_each(|item| compare(item, of_each, root, at));
    }
    let Some(fields) = value.as_object() else { return };
    if let Some(either) = schema["anyOf"].as_array() {
        // One of the alternatives is null, and this value is not.
        let some = either.iter().find(|one| one["type"] != "null").expect("something beside null");
        return compare(value, some, root, at);
    }
    let variants: Vec<&Value> = schema["oneOf"].as_array().into_iter().flatten().collect();
    let variant = variants.iter().find(|variant| fits(fields, variant));
    assert!(variants.is_empty() || variant.is_some(), "{at}: {value} is none of its variants");
    let parts = [Some(schema), variant.copied()];
    let properties: Vec<&Map<String, Value>> =
        parts.into_iter().flatten().filter_map(|part| part["properties"].as_object()).collect();
    if properties.is_empty() {
        // Any value is valid.
        return;
    }
    let known: BTreeSet<&String> = properties.iter().flat_map(|properties| properties.keys()).collect();
    let there: BTreeSet<&String> = fields.keys().collect();
    let required = parts.into_iter().flatten().filter_map(|part| part["required"].as_array()).flatten();
    let required: BTreeSet<&str> = required.filter_map(Value::as_str).collect();
    // A field that is not required may be missing. An unknown field is an error.
    let expected = known.iter().copied().filter(|name| there.contains(name) || required.contains(name.as_str()));
    assert_eq!(there, expected.collect(), "{at}");
    for (name, schema) in properties.into_iter().flatten() {
        if let Some(value) = fields.get(name) {
            compare(value, schema, root, &format!("{at}.{name}"));
        }
    }
}

/// Whether the value is of the type, or one of the types, that the schema names.
fn has_type(value: &Value, schema: &Value, root: &Value) -> bool {
    let schema = resolved(schema, root);
    if let Some(either) = schema["anyOf"].as_array() {
        return either.iter().any(|one| has_type(value, one, root));
    }
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

/// The bytes of a random message: fields of every number, some of them messages, texts or keys.
fn random_bytes(random: &mut StdRng, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..5) {
        let number: u64 =
            if random.random_bool(0.7) { random.random_range(1..20) } else { random.random_range(1..130) };
        let wire = [0_u64, 2, 2, 2, 1, 5][random.random_range(0..6)];
        put_varint(&mut bytes, number << 3 | wire);
        match wire {
            0 => put_varint(&mut bytes, random.random::<u64>() >> random.random_range(0..64)),
            1 => bytes.extend(random.random::<[u8; 8]>()),
            5 => bytes.extend(random.random::<[u8; 4]>()),
            _ => {
                let payload = match random.random_range(0..4) {
                    0 | 1 if depth > 0 => random_bytes(random, depth - 1),
                    2 => b"628@s.whatsapp.net".to_vec(),
                    _ => "\u{fc}a\"\\".repeat(random.random_range(0..9)).into_bytes(),
                };
                put_varint(&mut bytes, payload.len() as u64);
                bytes.extend(payload);
            }
        }
    }
    bytes
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A message with a content in the field of this number, as random as it can be read.
fn random_message(random: &mut StdRng) -> Option<Message> {
    let mut bytes = Vec::new();
    let content = random_bytes(random, 4);
    put_varint(&mut bytes, random.random_range(1_u64..130) << 3 | 2);
    put_varint(&mut bytes, content.len() as u64);
    bytes.extend(content);
    Message::decode_from_slice(&bytes).ok()
}

#[test]
fn whatever_a_message_holds_its_event_satisfies_its_schema() {
    let mut random = StdRng::seed_from_u64(22);
    let session = SessionId::default();
    let jid = |jid: &str| jid.parse::<Jid>().expect("a JID");
    let directory = AddressDirectory::of_account(Some(jid("111@s.whatsapp.net")), Some(jid("222@lid")));
    let mut kinds = BTreeSet::new();
    let mut mapped = 0;
    for _ in 0..60_000 {
        let Some(message) = random_message(&mut random) else { continue };
        let mut info = MessageInfo { id: "3EB0".to_owned(), ..MessageInfo::default() };
        let (chat, sender) =
            [("628@s.whatsapp.net", "628@s.whatsapp.net"), ("1@g.us", "9@lid"), ("7@broadcast", "9@lid")]
                [random.random_range(0..3)];
        (info.source.chat, info.source.sender) = (jid(chat), jid(sender));
        info.source.is_from_me = random.random_bool(0.2);
        let (directory, message) = (&directory, &message);
        let seen = MappingContext { info: &info, message, directory, identity: directory, session: &session };
        let Ok(event) = map_message(&seen, &PollStore::default()) else { continue };
        let body = EventEnvelope::new(event.kind.clone(), OffsetDateTime::UNIX_EPOCH, &event.data);
        let body = serde_json::to_value(&body).expect("JSON");
        check(&body);
        mapped += 1;
        kinds.insert(body["data"]["messageType"].as_str().unwrap_or(event.kind.as_str()).to_owned());
    }
    assert!(mapped > 2_000 && kinds.len() > 15, "{mapped} events of the kinds {kinds:?}");
}

/// Whether the value has the constants of a variant.
fn fits(fields: &Map<String, Value>, variant: &Value) -> bool {
    let properties = variant["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .all(|(name, schema)| schema.get("const").is_none_or(|one| fields.get(name) == Some(one)))
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("references lead somewhere"),
        None => schema,
    }
}

//! Checks the events of a test against the committed JSON Schemas: no field is missing, and none is unknown.

use kurir_test_harness::binaries::repository;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fs};

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

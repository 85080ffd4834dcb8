//! `shared/contract/schemas/`: a JSON Schema of each event's body.

use crate::committed;
use kurir_contract::event::schema;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

const FOLDER: &str = "shared/contract/schemas";

#[test]
fn the_schema_of_each_event_is_committed_and_no_other() {
    let mut names = BTreeSet::new();
    for event in schema::event_schemas() {
        let schema = committed::sorted(serde_json::to_value(&event.schema).unwrap());
        let mut text = serde_json::to_string_pretty(&schema).unwrap();
        text.push('\n');
        let name = format!("{}.json", event.event_type);
        committed::assert_file(&format!("{FOLDER}/{name}"), &text);
        assert!(names.insert(name), "{} is in the table twice", event.event_type);
    }
    let there = fs::read_dir(committed::repository().join(FOLDER)).unwrap();
    let there: BTreeSet<String> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, names);
}

#[test]
fn every_event_about_a_message_has_from_and_chat() {
    let mut count = 0;
    for event in schema::event_schemas() {
        let name = event.event_type.as_str().to_owned();
        if !name.starts_with("message.") && name != "poll.vote" && name != "media.downloaded" {
            continue;
        }
        count += 1;
        let schema = serde_json::to_value(&event.schema).unwrap();
        let data = &schema["properties"]["data"];
        let target = data["$ref"].as_str().and_then(|target| schema.pointer(target.trim_start_matches('#')));
        let required = target.unwrap_or(data)["required"].as_array().cloned().unwrap_or_default();
        for field in ["from", "chat"] {
            assert!(required.contains(&field.into()), "{name} has no {field}: {required:?}");
        }
    }
    assert_eq!(count, 10);
}

/// A schema with a dangling reference would accept everything.
#[test]
fn every_reference_in_a_schema_has_a_target() {
    for event in schema::event_schemas() {
        let schema = serde_json::to_value(&event.schema).unwrap();
        let mut references = Vec::new();
        collect_references(&schema, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.trim_start_matches('#');
            assert!(schema.pointer(pointer).is_some(), "{}: {reference}", event.event_type);
        }
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}

//! `docs/events.md`: the table of events, and the tables of their fields.

use crate::committed;
use kurir_contract::event::schema::{self, EventSchema};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt::Write as _};

const PAGE: &str = "docs/events.md";

#[test]
fn the_table_of_events_comes_from_the_types() {
    let shared: BTreeSet<String> = names(&schema::origin_schema()).chain(names(&schema::context_schema())).collect();
    let mut table = "\n| event | published when | own fields of `data` |\n|---|---|---|\n".to_owned();
    for event in schema::event_schemas() {
        let fields = data_schema(&event);
        let own: Vec<String> = properties(&fields)
            .map(|(name, _)| name.clone())
            .filter(|name| !shared.contains(name) || event.event_type.as_str() == "history.sync")
            .map(|name| format!("`{name}`"))
            .collect();
        writeln!(table, "| `{}` | {} | {} |", event.event_type, event.description, own.join(", ")).unwrap();
    }
    table.push('\n');
    committed::assert_section(PAGE, "events", &table);
}

#[test]
fn the_tables_of_fields_come_from_the_types() {
    let mut page = String::new();
    let (origin, context) =
        (serde_json::to_value(schema::origin_schema()), serde_json::to_value(schema::context_schema()));
    page.push_str("\n### Every event about a chat\n\n");
    page.push_str(&rows(&origin.unwrap()));
    page.push_str("\n### Every event with a content\n\n");
    page.push_str(&rows(&context.unwrap()));
    page.push('\n');
    committed::assert_section(PAGE, "shared fields", &page);
}

#[test]
fn the_table_of_message_types_comes_from_the_types() {
    let mut table = "\n| `messageType` | `content` | |\n|---|---|---|\n".to_owned();
    let content = serde_json::to_value(schema::content_schema()).unwrap();
    for variant in content["oneOf"].as_array().unwrap() {
        let kind = variant["properties"]["messageType"]["const"].as_str().unwrap();
        let fields = properties(&variant["properties"]["content"]).map(|(name, _)| name.as_str());
        let fields = fields.collect::<Vec<_>>().join(", ");
        let description = variant["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(table, "| `{kind}` | `{{{fields}}}` | {description} |").unwrap();
    }
    table.push('\n');
    committed::assert_section(PAGE, "kinds", &table);
}

fn names(schema: &schemars::Schema) -> impl Iterator<Item = String> {
    let names: Vec<String> = schema.get("properties").and_then(Value::as_object).unwrap().keys().cloned().collect();
    names.into_iter()
}

/// The schema of an event's `data`, with the definitions that it refers to.
fn data_schema(event: &EventSchema) -> Value {
    let schema = serde_json::to_value(&event.schema).unwrap();
    let reference = schema["properties"]["data"]["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    let mut data = match reference {
        Some(pointer) => schema.pointer(pointer).unwrap().clone(),
        None => schema["properties"]["data"].clone(),
    };
    data["$defs"] = schema["$defs"].clone();
    data
}

/// The fields of a schema and of its first variant.
fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let own = schema["properties"].as_object();
    let variant = schema["oneOf"].as_array().and_then(|variants| variants.first());
    let variant = variant.and_then(|variant| variant["properties"].as_object());
    let mut fields: Vec<(&String, &Value)> = own.into_iter().chain(variant).flat_map(Map::iter).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields.into_iter()
}

fn rows(schema: &Value) -> String {
    let mut rows = "| field | | |\n|---|---|---|\n".to_owned();
    for (name, field) in properties(schema) {
        let description = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(rows, "| `{name}` | {} | {description} |", type_of(field)).unwrap();
    }
    rows
}

fn type_of(field: &Value) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        return short(reference).to_owned();
    }
    if let Some(variants) = field["anyOf"].as_array() {
        return variants.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    match &field["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(&field["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn short(reference: &str) -> &str {
    match reference.rsplit('/').next().unwrap_or(reference) {
        "ChatJid" | "EventId" | "SessionId" => "string",
        name => name,
    }
}

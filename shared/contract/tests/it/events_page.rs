//! `docs/events.md`: the table of the events and the tables of their fields.

use crate::committed;
use kurir_contract::event::schema::{self, EventSchema};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt::Write as _};

const PAGE: &str = "docs/events.md";

#[test]
fn the_table_of_events_is_what_the_types_say() {
    let shared: BTreeSet<String> = names(&schema::origin()).chain(names(&schema::context())).collect();
    let mut table = "\n| event | what it tells | own fields of `data` |\n|---|---|---|\n".to_owned();
    for event in schema::all() {
        let fields = data(&event);
        let own: Vec<String> = properties(&fields)
            .map(|(name, _)| name.clone())
            .filter(|name| !shared.contains(name) || event.kind.as_str() == "history.sync")
            .map(|name| format!("`{name}`"))
            .collect();
        writeln!(table, "| `{}` | {} | {} |", event.kind, event.tells, own.join(", ")).unwrap();
    }
    table.push('\n');
    committed::has_section(PAGE, "events", &table);
}

#[test]
fn the_tables_of_fields_are_what_the_types_say() {
    let mut page = String::new();
    let (origin, context) = (serde_json::to_value(schema::origin()), serde_json::to_value(schema::context()));
    page.push_str("\n### Every event about a chat\n\n");
    page.push_str(&rows(&origin.unwrap()));
    page.push_str("\n### Every event with a content\n\n");
    page.push_str(&rows(&context.unwrap()));
    page.push('\n');
    committed::has_section(PAGE, "shared fields", &page);
}

#[test]
fn the_table_of_kinds_is_what_the_types_say() {
    let mut table = "\n| `messageType` | `content` | |\n|---|---|---|\n".to_owned();
    let content = serde_json::to_value(schema::content()).unwrap();
    for variant in content["oneOf"].as_array().unwrap() {
        let kind = variant["properties"]["messageType"]["const"].as_str().unwrap();
        let fields = properties(&variant["properties"]["content"]).map(|(name, _)| name.as_str());
        let fields = fields.collect::<Vec<_>>().join(", ");
        let said = variant["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(table, "| `{kind}` | `{{{fields}}}` | {said} |").unwrap();
    }
    table.push('\n');
    committed::has_section(PAGE, "kinds", &table);
}

fn names(schema: &schemars::Schema) -> impl Iterator<Item = String> {
    let names: Vec<String> = schema.get("properties").and_then(Value::as_object).unwrap().keys().cloned().collect();
    names.into_iter()
}

/// The schema of an event's `data`, with the definitions that it names.
fn data(event: &EventSchema) -> Value {
    let schema = serde_json::to_value(&event.schema).unwrap();
    let reference = schema["properties"]["data"]["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    let mut data = match reference {
        Some(pointer) => schema.pointer(pointer).unwrap().clone(),
        None => schema["properties"]["data"].clone(),
    };
    data["$defs"] = schema["$defs"].clone();
    data
}

/// Its fields, those of its variants among them.
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
        let said = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(rows, "| `{name}` | {} | {said} |", type_of(field)).unwrap();
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

//! The contract with the users of WhatsApp API v3, a table for each of its sections, through the whole of Kurir.
//!
//! A row says what is asked and what must be there; an answer may hold more ("open"). `<…>` in a row stands for any
//! value of that kind.

mod authentication;
mod deliveries;
mod environment;
mod events;
mod logs;
mod names;
mod other_routes;
mod shapes;
mod webhook_routes;
mod whatsapp_routes;

use kurir_test_harness::{
    Stack,
    stack::{Api, KEY},
};
use serde_json::{Value, json};

use crate::expect::is_iso;

/// What is asked with the key, and what must be answered.
pub struct Row {
    /// `GET /api/…`.
    call: &'static str,
    body: Value,
    status: u16,
    answer: Value,
}

pub fn row(call: &'static str, body: Value, status: u16, answer: Value) -> Row {
    Row { call, body, status, answer }
}

/// A refusal with its text.
pub fn no(call: &'static str, body: Value, status: u16, message: &str) -> Row {
    row(call, body, status, json!({"success": false, "message": message}))
}

/// Asks row by row.
pub async fn check(stack: &Stack, rows: impl IntoIterator<Item = Row>) {
    for Row { call, body, status, answer } in rows {
        let (seen, shown) = ask(&stack.api, call, &body).await;
        assert_eq!(seen, status, "{call} {body}: {shown}");
        assert_fits(&answer, &shown, call);
    }
}

async fn ask(api: &Api, call: &str, body: &Value) -> (u16, Value) {
    let (method, path) = call.split_once(' ').unwrap();
    let mut request = api.request(method.parse().unwrap(), path).header("X-API-Key", KEY);
    if !body.is_null() {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[track_caller]
pub fn assert_fits(expected: &Value, seen: &Value, of: &str) {
    if let Err(why) = fits(expected, seen) {
        panic!("{of}: {why}\n  expected {expected}\n  seen     {seen}");
    }
}

/// Whether every expected field is there with its value, or with one of its kind.
fn fits(expected: &Value, seen: &Value) -> Result<(), String> {
    let is = |fits: bool| if fits { Ok(()) } else { Err(format!("{seen} is no {expected}")) };
    match expected {
        Value::String(kind) if kind.starts_with('<') => match kind.as_str() {
            "<text>" => is(seen.as_str().is_some_and(|text| !text.is_empty())),
            "<number>" => is(seen.is_number()),
            "<true or false>" => is(seen.is_boolean()),
            "<ISO>" => is(is_iso(seen)),
            "<object>" => is(seen.is_object()),
            // After 2023, and not seconds.
            "<milliseconds>" => is(seen.as_i64().is_some_and(|at| at > 1_700_000_000_000)),
            "<n MB>" => is(seen.as_str().is_some_and(|text| text.ends_with(" MB"))),
            other => panic!("{other} is no kind"),
        },
        Value::Object(fields) => fields.iter().try_for_each(|(name, expected)| {
            let field = seen.get(name).ok_or_else(|| format!("{name} is missing"))?;
            fits(expected, field).map_err(|why| format!("{name}: {why}"))
        }),
        Value::Array(items) => {
            is(seen.as_array().is_some_and(|seen| seen.len() == items.len()))?;
            items.iter().enumerate().try_for_each(|(at, item)| fits(item, &seen[at]))
        }
        other => is(other == seen),
    }
}

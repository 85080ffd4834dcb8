//! What tests say about webhooks, once.

use kurir_test_harness::{Receiver, Request, stack::SOON};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The bodies of the webhooks of one event type so far.
pub fn bodies(requests: &[Request], event: &str) -> Vec<Value> {
    requests.iter().map(Request::json).filter(|body| body["event"] == event).collect()
}

/// Waits for a webhook whose body fits, and gives its request.
pub async fn webhook(receiver: &Receiver, what: &str, fits: impl Fn(&Value) -> bool) -> Request {
    let found = |requests: &[Request]| requests.iter().find(|request| fits(&request.json())).cloned();
    let requests = receiver.wait_until(what, SOON, |requests| found(requests).is_some()).await;
    found(&requests).unwrap()
}

/// The text of a `message.received` or `message.sent` body.
pub fn text(body: &Value) -> &str {
    body["data"]["content"]["text"].as_str().unwrap_or_default()
}

/// ISO 8601 in UTC with milliseconds, and of the last minutes.
#[track_caller]
pub fn assert_iso(value: &Value) {
    assert!(is_iso(value), "{value} is no time of the last minutes in ISO 8601, UTC, with milliseconds");
}

pub fn is_iso(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) else { return false };
    let has_form = text.len() == "2026-11-24T13:27:25.042Z".len() && text.ends_with('Z');
    has_form && (OffsetDateTime::now_utc() - at).abs() < Duration::from_secs(600)
}

/// How often each `webhook-id` came, and which text it carried.
pub fn by_id(requests: &[Request]) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in requests {
        let body = request.json();
        if body["event"] == "message.received" {
            ids.entry(request.header("webhook-id").to_owned()).or_default().push(text(&body).to_owned());
        }
    }
    ids
}

//! `/api/webhook`: whether webhooks are enabled, and events of a user's own that go the way of every event.

use crate::{
    app_state::AppState,
    event_publisher::DeliveryOutcome,
    extract::JsonObject,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    clock,
    event::{EventEnvelope, EventType},
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

/// How the types of Kurir's own events begin.
const OF_KURIR: [&str; 13] = [
    "call",
    "connection",
    "contact",
    "endpoint",
    "error",
    "group",
    "history",
    "job",
    "media",
    "message",
    "poll",
    "presence",
    "session",
];

pub async fn status(State(app): State<AppState>) -> JsonResult {
    Ok(Json(json!({
        "success": true,
        "data": {
            "enabled": app.webhook_url.is_some(),
            "webhookUrl": app.webhook_url,
            "timestamp": clock::now_iso(),
        },
    })))
}

pub async fn test(State(app): State<AppState>, JsonObject(fields): JsonObject) -> JsonResult {
    let event = chosen_type(&fields)?.map_or_else(|| event_type("test"), Ok)?;
    let now = OffsetDateTime::now_utc();
    deliver(&app, EventEnvelope::new(event, now, test_data(fields, now)?), "Webhook test completed").await
}

pub async fn send(State(app): State<AppState>, JsonObject(fields): JsonObject) -> JsonResult {
    let event = match fields.get("eventType") {
        None | Some(Value::Null) => return Err(missing_type()),
        Some(Value::String(name)) if name.is_empty() => return Err(missing_type()),
        Some(Value::String(name)) => event_type(name)?,
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => return Err(invalid_type()),
    };
    let data = Value::Object(data(fields)?);
    deliver(&app, EventEnvelope::new(event, OffsetDateTime::now_utc(), data), "Custom webhook sent").await
}

async fn deliver(app: &AppState, mut envelope: EventEnvelope, message: &str) -> JsonResult {
    if is_of_kurir(&envelope.event) {
        envelope.data["synthetic"] = json!(true);
    }
    if app.webhook_url.is_none() {
        // Other subscribers of NATS still get it.
        app.events.publish(&envelope).await?;
        return Ok(Json(json!({"success": true, "message": message})));
    }
    let result = result(&app.events.deliver(&envelope).await?);
    Ok(Json(json!({"success": true, "message": message, "result": result})))
}

/// Whether Kurir itself makes events of this type: one that a caller makes is marked, so that nobody takes it for real.
fn is_of_kurir(event: &EventType) -> bool {
    let family = event.as_str().split('.').next().unwrap_or_default();
    OF_KURIR.contains(&family)
}

/// How a delivery ended, in the contract's words.
pub fn result(outcome: &DeliveryOutcome) -> Value {
    match outcome {
        DeliveryOutcome::Delivered { status, attempt } => {
            json!({"success": true, "status": status, "attempt": attempt})
        }
        DeliveryOutcome::GivenUp { .. } => json!({"success": false, "error": "All retry attempts failed"}),
        DeliveryOutcome::StillRetried(event) => {
            json!({"success": false, "error": "Still being retried", "eventId": event})
        }
    }
}

/// The `data` of a test: what the caller gave, and two fields that say what it is.
pub fn test_data(fields: Map<String, Value>, now: OffsetDateTime) -> Result<Value, ApiError> {
    let mut data = data(fields)?;
    data.insert("test".to_owned(), json!(true));
    data.insert("timestamp".to_owned(), json!(clock::iso(now)));
    Ok(Value::Object(data))
}

/// The event type that a test's caller chose, if he did.
pub fn chosen_type(fields: &Map<String, Value>) -> Result<Option<EventType>, ApiError> {
    match fields.get("eventType") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => event_type(name).map(Some),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(invalid_type()),
    }
}

fn event_type(name: &str) -> Result<EventType, ApiError> {
    name.parse().map_err(|_| invalid_type())
}

fn data(mut fields: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    match fields.remove("data") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(data)) => Ok(data),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(ApiError::bad_request("invalid_data", "data must be an object"))
        }
    }
}

fn missing_type() -> ApiError {
    ApiError::bad_request("missing_event_type", "eventType is required")
}

fn invalid_type() -> ApiError {
    ApiError::bad_request("invalid_event_type", "Invalid eventType")
}

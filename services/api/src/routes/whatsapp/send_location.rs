//! `POST send-location`: a place on the map.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{app_state::AppState, extract::JsonObject, response::ApiError};
use axum::extract::State;
use kurir_contract::command::{Command, IdempotencyKey, SendLocation};
use serde_json::{Map, Value};

use super::{
    jobs, parse_recipient,
    send_message::{SendResult, quoted, send},
};

/// More than the apps show.
const LONGEST: usize = 1000;

pub async fn send_location(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let place = read(&fields, key)?;
    let to = place.to.clone();
    send(app, session, Command::SendLocation, to, place, jobs::send_at(&fields)?).await
}

fn read(fields: &Map<String, Value>, idempotency_key: Option<IdempotencyKey>) -> Result<SendLocation, ApiError> {
    Ok(SendLocation {
        to: parse_recipient(fields.get("to"))?,
        latitude: degrees(fields, "latitude", 90.0)?,
        longitude: degrees(fields, "longitude", 180.0)?,
        name: text(fields, "name")?,
        address: text(fields, "address")?,
        quoted: quoted(fields.get("options"))?,
        idempotency_key,
    })
}

fn degrees(fields: &Map<String, Value>, name: &str, most: f64) -> Result<f64, ApiError> {
    let given = fields.get(name).and_then(Value::as_f64).filter(|degrees| degrees.abs() <= most);
    given.ok_or_else(|| invalid(format!("{name} must be a number from -{most} to {most}")))
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.chars().count() <= LONGEST => Ok(text.trim().to_owned()),
        Some(_) => Err(invalid(format!("{name} must be a string of at most {LONGEST} characters"))),
    }
}

fn invalid(text: String) -> ApiError {
    ApiError::bad_request("invalid_location", text)
}

//! The mock phone: scans QR codes and takes pairing codes.

use axum::response::NoContent;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::response::{ApiError, ApiResult, JsonBody, QueryParams};
use crate::{phone_number::PhoneNumber, server::ScanOutcome, state::SharedState};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanQuery {
    /// The phone scans only if it scans by itself (`SIMULATOR_AUTO_SCAN`).
    auto: Option<bool>,
    /// Which account's phone scans, instead of the one that the push name chooses.
    number: Option<PhoneNumber>,
}

#[derive(Serialize, JsonSchema)]
pub struct PairedDevice {
    number: PhoneNumber,
    lid: String,
    /// Null while the account's passkey is asked for.
    device: Option<u16>,
}

impl From<ScanOutcome> for PairedDevice {
    fn from(scanned: ScanOutcome) -> Self {
        Self { lid: scanned.number.lid(), number: scanned.number, device: scanned.device }
    }
}

pub async fn scan_qr(
    State(shared): State<SharedState>,
    QueryParams(scan): QueryParams<ScanQuery>,
    qr: String,
) -> ApiResult<Response> {
    let mut server = shared.lock();
    if scan.auto == Some(true) && !server.auto_scan {
        let ignored = serde_json::json!({
            "ignored": "the phone does not scan by itself: SIMULATOR_AUTO_SCAN is not set"
        });
        return Ok((StatusCode::ACCEPTED, Json(ignored)).into_response());
    }
    let scanned = server.scan(&qr, scan.number)?;
    Ok(Json(PairedDevice::from(scanned)).into_response())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeEntry {
    number: PhoneNumber,
    code: String,
}

pub async fn enter_code(
    State(shared): State<SharedState>,
    JsonBody(entry): JsonBody<CodeEntry>,
) -> ApiResult<Json<serde_json::Value>> {
    let work = shared.lock().code_awaited(&entry.number)?;
    let result = tokio::task::spawn_blocking(move || work.run(&entry.code))
        .await
        .map_err(|error| ApiError::from(anyhow::Error::new(error)))??;
    shared.lock().code_entered(&entry.number, result)?;
    Ok(Json(serde_json::json!({"number": entry.number})))
}

pub async fn expire_qr(State(shared): State<SharedState>) -> Json<serde_json::Value> {
    let expired = shared.lock().expire_qr();
    Json(serde_json::json!({"clients": expired}))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhonePower {
    number: PhoneNumber,
    on: bool,
}

/// A phone that is off confirms nothing that its companions ask it.
pub async fn power(State(shared): State<SharedState>, JsonBody(power): JsonBody<PhonePower>) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    server.people.meet(&power.number)?;
    if power.on {
        server.phones_off.remove(&power.number);
    } else {
        server.phones_off.insert(power.number);
    }
    Ok(NoContent)
}

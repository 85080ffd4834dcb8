//! The mock phone: scans QR codes and takes pairing codes.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Asked, Body, Error};
use crate::{connection::Scanned, people::Number, world::Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// The phone scans only if it scans by itself (`SIMULATOR_AUTO_SCAN`).
    auto: Option<bool>,
    /// Which account's phone scans, instead of the one that the push name chooses.
    number: Option<Number>,
}

#[derive(Serialize)]
pub struct Paired {
    number: Number,
    lid: String,
    /// Null while the account's passkey is asked for.
    device: Option<u16>,
}

impl From<Scanned> for Paired {
    fn from(scanned: Scanned) -> Self {
        Self { lid: scanned.number.lid(), number: scanned.number, device: scanned.device }
    }
}

pub async fn scan_qr(State(shared): State<Shared>, Asked(scan): Asked<Scan>, qr: String) -> Answer<Response> {
    let mut world = shared.lock();
    if scan.auto == Some(true) && !world.auto_scan {
        let ignored = serde_json::json!({
            "ignored": "the phone does not scan by itself: SIMULATOR_AUTO_SCAN is not set"
        });
        return Ok((StatusCode::ACCEPTED, Json(ignored)).into_response());
    }
    let scanned = world.scan(&qr, scan.number)?;
    Ok(Json(Paired::from(scanned)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    number: Number,
    code: String,
}

pub async fn enter_code(State(shared): State<Shared>, Body(entry): Body<Code>) -> Answer<Json<serde_json::Value>> {
    let work = shared.lock().code_awaited(&entry.number)?;
    let result = tokio::task::spawn_blocking(move || work.run(&entry.code))
        .await
        .map_err(|error| Error::from(anyhow::Error::new(error)))??;
    shared.lock().code_entered(&entry.number, result)?;
    Ok(Json(serde_json::json!({"number": entry.number})))
}

pub async fn expire_qr(State(shared): State<Shared>) -> Json<serde_json::Value> {
    let expired = shared.lock().expire_qr();
    Json(serde_json::json!({"clients": expired}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    number: Number,
    on: bool,
}

/// A phone that is off confirms nothing that its companions ask it.
pub async fn power(State(shared): State<Shared>, Body(power): Body<Power>) -> Answer<StatusCode> {
    let mut world = shared.lock();
    world.people.meet(&power.number)?;
    if power.on {
        world.phones_off.remove(&power.number);
    } else {
        world.phones_off.insert(power.number);
    }
    Ok(StatusCode::NO_CONTENT)
}

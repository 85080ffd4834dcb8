//! Accounts that are linked by passkey only: which ones, the user's browser that signs, the code on the phone.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, Asked, Body};
use crate::{
    connection::{Shown, Trouble},
    passkey::{ORIGIN, Options},
    people::Number,
    world::Shared,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Required {
    number: Number,
    /// What goes wrong on purpose; without it, nothing.
    trouble: Option<Trouble>,
}

/// Whoever scans its code, or enters one, is asked for the account's passkey from now on, which this gives away.
pub async fn require(State(shared): State<Shared>, Body(required): Body<Required>) -> Answer<Json<Value>> {
    let mut world = shared.lock();
    let passkey = world.require_passkey(required.number, required.trouble)?;
    Ok(Json(passkey.exported()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfAccount {
    number: Number,
}

/// The account is linked as any other again, and its passkey is gone.
pub async fn require_no_more(State(shared): State<Shared>, Asked(of): Asked<OfAccount>) -> StatusCode {
    shared.lock().passkeys.remove(&of.number);
    StatusCode::NO_CONTENT
}

/// What the phone shows.
pub async fn show(State(shared): State<Shared>, Asked(of): Asked<OfAccount>) -> Json<Shown> {
    Json(shared.lock().shown_passkey(&of.number))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToSign {
    number: Option<Number>,
    options: Options,
    /// The page on which the browser is.
    origin: Option<String>,
}

/// What `navigator.credentials.get` would give, as `toJSON()` writes it.
pub async fn sign(State(shared): State<Shared>, Body(to_sign): Body<ToSign>) -> Answer<Json<Value>> {
    let origin = to_sign.origin.as_deref().unwrap_or(ORIGIN);
    Ok(Json(shared.lock().sign_passkey(to_sign.number.as_ref(), &to_sign.options, origin)?))
}

//! Accounts that are linked by passkey only: which ones, the user's browser that signs, the code on the phone.

use axum::response::NoContent;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::response::{ApiResult, JsonBody, QueryParams};
use crate::{
    connection::PasskeyTrouble,
    passkey::{ORIGIN, RequestOptions},
    phone_number::PhoneNumber,
    server::CeremonyView,
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyRequirement {
    number: PhoneNumber,
    /// What goes wrong on purpose; without it, nothing.
    trouble: Option<PasskeyTrouble>,
}

/// Makes the account linkable by passkey only, and returns its passkey.
pub async fn require(
    State(shared): State<SharedState>,
    JsonBody(required): JsonBody<PasskeyRequirement>,
) -> ApiResult<Json<Value>> {
    let mut server = shared.lock();
    let passkey = server.require_passkey(required.number, required.trouble)?;
    Ok(Json(passkey.exported()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountQuery {
    number: PhoneNumber,
}

/// Makes the account linkable in the other ways again, and deletes its passkey.
pub async fn require_no_more(
    State(shared): State<SharedState>,
    QueryParams(of): QueryParams<AccountQuery>,
) -> NoContent {
    shared.lock().passkeys.remove(&of.number);
    NoContent
}

/// What the phone shows.
pub async fn show(State(shared): State<SharedState>, QueryParams(of): QueryParams<AccountQuery>) -> Json<CeremonyView> {
    Json(shared.lock().shown_passkey(&of.number))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    number: Option<PhoneNumber>,
    options: RequestOptions,
    /// The page on which the browser is.
    origin: Option<String>,
}

/// What `navigator.credentials.get` would give, as `toJSON()` writes it.
pub async fn sign(
    State(shared): State<SharedState>,
    JsonBody(to_sign): JsonBody<SignRequest>,
) -> ApiResult<Json<Value>> {
    let origin = to_sign.origin.as_deref().unwrap_or(ORIGIN);
    Ok(Json(shared.lock().sign_passkey(to_sign.number.as_ref(), &to_sign.options, origin)?))
}

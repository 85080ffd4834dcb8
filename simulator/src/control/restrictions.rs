//! Restrictions of accounts, set and taken away.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::response::{ApiError, ApiResult, JsonBody, NumberPath};
use crate::{
    phone_number::PhoneNumber,
    restrictions::{AccountRestriction, RestrictionKind},
    state::{ServerState, SharedState},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRestriction {
    kind: RestrictionKind,
    seconds: u32,
}

pub async fn begin(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(restrict): JsonBody<NewRestriction>,
) -> ApiResult<Json<serde_json::Value>> {
    let mut server = shared.lock();
    is_account(&server, &number)?;
    let until = server.now() + i64::from(restrict.seconds);
    server.restrictions.0.insert(number, AccountRestriction { kind: restrict.kind, until });
    Ok(Json(serde_json::json!({"until": until})))
}

pub async fn end(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
) -> ApiResult<Json<serde_json::Value>> {
    let mut server = shared.lock();
    is_account(&server, &number)?;
    let was = server.restrictions.0.remove(&number).is_some();
    Ok(Json(serde_json::json!({"ended": was})))
}

fn is_account(server: &ServerState, number: &PhoneNumber) -> ApiResult<()> {
    let is_account = server.people.get(number).is_some_and(|person| person.is_account);
    if is_account { Ok(()) } else { Err(ApiError::not_found(format!("{number} is no account"))) }
}

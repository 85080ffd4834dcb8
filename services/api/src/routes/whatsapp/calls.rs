//! `calls/{id}/reject`: turns down a call that rings.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, SessionPath},
    fields::{Field, Person},
    response::{JsonResult, MessageResponse, message_response},
};
use axum::extract::State;
use kurir_contract::command::{CallRejected, RejectCall, spec};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whose call it is.
#[derive(Deserialize, JsonSchema)]
pub struct RejectCallRequest {
    /// The caller, as `call.received` names them.
    from: Field<Person>,
}

pub async fn reject_call(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    PathId(call): PathId,
    JsonBody(body): JsonBody<RejectCallRequest>,
) -> JsonResult<MessageResponse> {
    let Person(from) = body.from.checked("from", ErrorCode::InvalidRecipient)?;
    let CallRejected {} = ask_gateway(&app, &session, spec::RejectCall, &RejectCall { call, from }).await?;
    Ok(message_response("Call rejected"))
}

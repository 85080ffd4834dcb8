//! `passkey`: pairs an account that WhatsApp links in no other way. The gateway judges what the passkey signed, because it
//! knows what WhatsApp asked.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    extract::{JsonBody, SessionPath},
    response::{DataResponse, JsonResult, MessageDataResponse, data_response, message_data_response},
};
use axum::extract::State;
use kurir_contract::command::{AnswerPasskey, EmptyBody, PasskeyProgress, spec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// How far the pairing is, and what is to be signed.
pub async fn passkey(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<DataResponse<PasskeyProgress>> {
    Ok(data_response(ask_gateway(&app, &session, spec::Passkey, &EmptyBody {}).await?))
}

/// WebAuthn's `PublicKeyCredential`, as the browser's `toJSON()` writes it; handed on as it is.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct PasskeyCredential(Map<String, Value>);

impl JsonSchema for PasskeyCredential {
    fn schema_name() -> Cow<'static, str> {
        "PasskeyCredential".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({"type": "string"});
        json_schema!({
            "type": "object",
            "description": "WebAuthn's PublicKeyCredential, as the browser's toJSON() writes it.",
            "properties": {
                "id": text, "rawId": text, "type": {"const": "public-key"},
                "response": {
                    "type": "object",
                    "properties": {"clientDataJSON": text, "authenticatorData": text, "signature": text, "userHandle": {"type": ["string", "null"]}},
                    "required": ["clientDataJSON", "authenticatorData", "signature"],
                },
            },
            "required": ["id", "rawId", "type", "response"],
        })
    }
}

pub async fn answer_passkey(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(PasskeyCredential(credential)): JsonBody<PasskeyCredential>,
) -> JsonResult<MessageDataResponse<PasskeyProgress>> {
    let request = AnswerPasskey { credential: credential.into() };
    let progress = ask_gateway(&app, &session, spec::AnswerPasskey, &request).await?;
    Ok(message_data_response("Passkey answered", progress))
}

/// The caller has seen the same code on the phone.
pub async fn confirm_passkey(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<MessageDataResponse<PasskeyProgress>> {
    let progress = ask_gateway(&app, &session, spec::ConfirmPasskey, &EmptyBody {}).await?;
    Ok(message_data_response("Passkey confirmed", progress))
}

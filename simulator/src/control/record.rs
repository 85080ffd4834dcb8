//! A recording: begun, shown as steps or as a script, ended; and the layer that notes the calls.

use axum::response::NoContent;
use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    MAX_BODY,
    response::{ApiError, ApiResult, QueryParams},
};
use crate::{recording::Happening, state::SharedState};

pub async fn begin(State(shared): State<SharedState>) -> NoContent {
    shared.lock().recording.begin();
    NoContent
}

pub async fn end(State(shared): State<SharedState>) -> NoContent {
    shared.lock().recording.end();
    NoContent
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingQuery {
    #[serde(rename = "as", default)]
    form: RecordingForm,
}

#[derive(Deserialize, JsonSchema, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RecordingForm {
    /// Steps as JSON.
    #[default]
    Json,
    /// A script for `sh` that repeats the calls and waits for the same messages.
    Script,
}

pub async fn show(State(shared): State<SharedState>, QueryParams(query): QueryParams<RecordingQuery>) -> Response {
    let server = shared.lock();
    match query.form {
        RecordingForm::Json => Json(server.recording.view()).into_response(),
        RecordingForm::Script => {
            ([(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8")], server.recording.script()).into_response()
        }
    }
}

/// Notes every call that changes something, once it is answered.
pub async fn note(State(shared): State<SharedState>, request: Request, next: Next) -> ApiResult<Response> {
    let is_read = request.method() == Method::GET || request.uri().path() == "/record";
    if is_read || !shared.lock().recording.is_running() {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let too_large = |_| ApiError(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {MAX_BODY} bytes"));
    let bytes = to_bytes(body, MAX_BODY).await.map_err(too_large)?;
    let (method, path) = (parts.method.to_string(), parts.uri.to_string());
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    let status = response.status().as_u16();
    shared.lock().recording.add(Happening::Call { method, path, body, status });
    Ok(response)
}

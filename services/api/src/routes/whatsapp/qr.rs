//! `GET qr`: the QR code that waits to be scanned, as raw text or as a picture. After a logout it begins a new pairing, because old
//! users know no other way to a new code.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    error_code::ErrorCode,
    extract::{QueryParams, SessionPath},
    fields::{Field, FieldError, FieldErrors, FieldValue, inline_schema},
    metrics::ApiCounter,
    qr_picture::{draw_png, draw_svg},
    response::{ApiError, json_response_doc},
};
use aide::{
    OperationInput, OperationOutput,
    generate::GenContext,
    openapi::{MediaType, Operation, Response as ResponseDoc, StatusCode as StatusDoc},
};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{
        StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use kurir_contract::{
    clock,
    command::{Command, EmptyBody, SessionInfo, spec},
    session::{SessionId, SessionStatus},
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};

/// A new pairing has its first code in about a second.
const NEW_CODE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at the session.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The code, or why there is none.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QrResponse {
    /// Whether there is a code.
    success: bool,
    /// The raw text of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_code: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// How the code is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QrFormat {
    Json,
    Png,
    Svg,
}

/// How the caller wants the code.
#[derive(Deserialize, JsonSchema)]
pub struct QrQuery {
    /// `json`: the raw text; `png` or `svg`: a picture. Without it, `Accept` decides.
    format: Option<Field<QrFormat>>,
}

/// The picture that `Accept` names; none if it names JSON, anything, or nothing.
pub struct AcceptedPicture(Option<QrFormat>);

impl<S: Send + Sync> FromRequestParts<S> for AcceptedPicture {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let mut types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        // The first that can be had, as callers write them in the order of their wishes.
        Ok(Self(
            types
                .find_map(|one| match one {
                    "image/png" | "image/*" => Some(Some(QrFormat::Png)),
                    "image/svg+xml" => Some(Some(QrFormat::Svg)),
                    "application/json" | "*/*" => Some(None),
                    _ => None,
                })
                .flatten(),
        ))
    }
}

impl OperationInput for AcceptedPicture {}

/// The code as it was asked for.
pub enum QrReply {
    Json(Json<QrResponse>),
    Picture(&'static str, Vec<u8>),
}

impl IntoResponse for QrReply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(answer) => answer.into_response(),
            Self::Picture(content_type, picture) => ([(CONTENT_TYPE, content_type)], picture).into_response(),
        }
    }
}

impl OperationOutput for QrReply {
    type Inner = QrResponse;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
        let mut responses = json_response_doc::<QrResponse>(StatusCode::OK, context, operation);
        for (_, response) in &mut responses {
            for picture in ["image/png", "image/svg+xml"] {
                response.content.insert(picture.to_owned(), MediaType::default());
            }
        }
        responses
    }
}

pub async fn qr(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    AcceptedPicture(accepted): AcceptedPicture,
    QueryParams(query): QueryParams<QrQuery>,
) -> Result<QrReply, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let format = errors.take_optional("format", query.format).or(accepted).unwrap_or(QrFormat::Json);
    errors.finish(|| Some(()))?;
    app.metrics.count(ApiCounter::QrCodeRequests, clock::now());
    let mut status = read_status(&app, &session).await?;
    if status.status == SessionStatus::LoggedOut && status.qr_code.is_none() {
        status = begin_pairing(&app, &session).await?;
    }
    let missing = match status {
        SessionInfo { qr_code: Some(code), .. } => return show(code, format),
        SessionInfo { is_connected: true, .. } => "WhatsApp is already connected",
        SessionInfo { .. } => "QR Code not available. Please restart the service.",
    };
    match format {
        QrFormat::Json => Ok(QrReply::Json(Json(QrResponse { success: false, qr_code: None, message: Some(missing) }))),
        QrFormat::Png | QrFormat::Svg => Err(ApiError::new(ErrorCode::QrNotAvailable, missing)),
    }
}

fn show(code: String, format: QrFormat) -> Result<QrReply, ApiError> {
    let picture = match format {
        QrFormat::Json => {
            return Ok(QrReply::Json(Json(QrResponse { success: true, qr_code: Some(code), message: None })));
        }
        QrFormat::Png => draw_png(&code).map(|picture| QrReply::Picture("image/png", picture)),
        QrFormat::Svg => draw_svg(&code).map(|picture| QrReply::Picture("image/svg+xml", picture.into_bytes())),
    };
    // WhatsApp's codes are far shorter than a QR code can be.
    picture.ok_or_else(ApiError::internal)
}

impl FieldValue for QrFormat {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        match given.as_str() {
            Some("json") => Ok(Self::Json),
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            Some(_) | None => Err(FieldError::predicate("must be one of json, png, svg")),
        }
    }
}

inline_schema!(QrFormat, |_| json_schema!({"type": "string", "enum": ["json", "png", "svg"]}));

/// Asks for a new pairing and waits for its code.
async fn begin_pairing(app: &AppState, session: &SessionId) -> Result<SessionInfo, ApiError> {
    let deadline = Instant::now() + NEW_CODE_WITHIN;
    let mut status: SessionInfo = ask_gateway(app, session, spec::Restart, &EmptyBody {}).await?;
    while status.qr_code.is_none() && !status.is_connected && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
        status = read_status(app, session).await?;
    }
    Ok(status)
}

async fn read_status(app: &AppState, session: &SessionId) -> Result<SessionInfo, ApiError> {
    app.gateway.status(session).await.map_err(|error| gateway_error(error, Command::Status, session))
}

//! How the control API reads bodies and says what is wrong with them.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::PathRejection},
    http::{Method, StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{phone_number::PhoneNumber, server::PairingError, stanza::SendError, state::SharedState};

pub type ApiResult<T> = Result<T, ApiError>;

/// A status and one sentence.
#[derive(Debug)]
pub struct ApiError(pub StatusCode, pub String);

impl ApiError {
    pub fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self(StatusCode::CONFLICT, message.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({"error": self.1}))).into_response()
    }
}

impl From<SendError> for ApiError {
    fn from(refused: SendError) -> Self {
        let status = match refused {
            SendError::Invalid(_) => StatusCode::BAD_REQUEST,
            SendError::NotFound(_) => StatusCode::NOT_FOUND,
            SendError::Conflict(_) => StatusCode::CONFLICT,
            SendError::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            SendError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{refused:#}"))
    }
}

impl From<PairingError> for ApiError {
    fn from(error: PairingError) -> Self {
        let status = match error {
            PairingError::Malformed(_) => StatusCode::BAD_REQUEST,
            PairingError::UnknownRef | PairingError::NoCodeAwaited(_) | PairingError::NoPasskey => {
                StatusCode::NOT_FOUND
            }
            PairingError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{error:#}"))
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

/// Something was made.
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// Something goes on in the background.
pub struct Accepted<T>(pub T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

/// A JSON body, whatever its content type says. An empty one reads as `{}`.
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| ApiError(error.status(), error.body_text()))?;
        let bytes: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| ApiError::bad(format!("the body is not what this call takes: {error}")))
    }
}

/// A query string; unknown parameters are refused by its type.
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(query)| Self(query))
            .map_err(|error| ApiError::bad(error.body_text()))
    }
}

/// The number in a path, in the form under which its owner is registered.
pub struct NumberPath(pub PhoneNumber);

impl FromRequestParts<SharedState> for NumberPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &SharedState) -> Result<Self, ApiError> {
        let DialledPath(dialled) = DialledPath::from_request_parts(parts, state).await?;
        Ok(Self(state.lock().people.registered(&dialled)))
    }
}

/// The number in a path as it is written there.
pub struct DialledPath(pub PhoneNumber);

impl<S: Send + Sync> FromRequestParts<S> for DialledPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| ApiError::bad(error.body_text()))?;
        text.parse().map(Self).map_err(ApiError::bad)
    }
}

pub async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no {}", uri.path()))
}

pub async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

/// The answer to a message that was written.
#[derive(Serialize, JsonSchema)]
pub struct MessageCreated {
    pub id: String,
}

//! How the control API reads bodies and says what is wrong with them.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::PathRejection},
    http::{Method, StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

use crate::{connection::PairingError, people::Number, stanza::Refused};

pub type Answer<T> = Result<T, Error>;

/// A status and one sentence.
#[derive(Debug)]
pub struct Error(pub StatusCode, pub String);

impl Error {
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({"error": self.1}))).into_response()
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Invalid(_) => StatusCode::BAD_REQUEST,
            Refused::NotFound(_) => StatusCode::NOT_FOUND,
            Refused::Conflict(_) => StatusCode::CONFLICT,
            Refused::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, format!("{refused:#}"))
    }
}

impl From<PairingError> for Error {
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

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

/// A JSON body, whatever its content type says. An empty one reads as `{}`.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| Error(error.status(), error.body_text()))?;
        let bytes: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| Error::bad(format!("the body is not what this call takes: {error}")))
    }
}

/// A query string; unknown parameters are refused by its type.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(query)| Self(query))
            .map_err(|error| Error::bad(error.body_text()))
    }
}

/// The number in a path.
pub struct NumberPath(pub Number);

impl<S: Send + Sync> FromRequestParts<S> for NumberPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| Error::bad(error.body_text()))?;
        text.parse().map(Self).map_err(Error::bad)
    }
}

pub async fn no_such_route(uri: Uri) -> Error {
    Error::not_found(format!("there is no {}", uri.path()))
}

pub async fn no_such_method(method: Method, uri: Uri) -> Error {
    Error(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

//! Which session a path means: the one it names, or `default` where it names none.

use crate::{error_code::ErrorCode, response::ApiError};
use aide::OperationInput;
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use kurir_contract::session::SessionId;

/// The session of a route under `…/whatsapp`.
pub struct SessionPath(pub SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // Refused only for a path that is no UTF-8, which no session's name is.
        let invalid = || ApiError::new(ErrorCode::InvalidSession, "Invalid session name");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| invalid())?;
        match params.iter().find(|(name, _)| *name == "session") {
            Some((_, name)) => name.parse().map(Self).map_err(|_| invalid()),
            None => Ok(Self(SessionId::default())),
        }
    }
}

/// The document reads the parameter off the path itself.
impl OperationInput for SessionPath {}

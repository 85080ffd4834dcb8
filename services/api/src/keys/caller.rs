//! Who sent a request: a key, and what it may see.

use super::{key_record::KeyRecord, scope::Scope};
use crate::{index::query::VisibleSessions, response::ApiError};
use aide::OperationInput;
use axum::{extract::FromRequestParts, http::request::Parts};
use kurir_contract::session::SessionId;

/// The id of `API_KEY`.
pub const ENVIRONMENT_KEY: &str = "environment";

/// The key of a request. The authentication puts it there; a route without one has no caller.
#[derive(Clone, Debug)]
pub struct Caller {
    pub key_id: String,
    pub key_name: String,
    pub scopes: Vec<Scope>,
    /// Empty: all.
    pub sessions: Vec<SessionId>,
    pub requests_per_minute: Option<u32>,
    /// Whether a browser is logged in with the key.
    pub via_dashboard: bool,
}

impl Caller {
    /// The holder of `API_KEY`.
    pub fn environment() -> Self {
        Self {
            key_id: ENVIRONMENT_KEY.to_owned(),
            key_name: "API_KEY".to_owned(),
            scopes: vec![Scope::Admin],
            sessions: Vec::new(),
            requests_per_minute: None,
            via_dashboard: false,
        }
    }

    pub fn of_key(record: &KeyRecord) -> Self {
        Self {
            key_id: record.id.clone(),
            key_name: record.name.clone(),
            scopes: record.scopes.clone(),
            sessions: record.sessions.clone(),
            requests_per_minute: record.requests_per_minute,
            via_dashboard: false,
        }
    }

    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&Scope::Admin) || self.scopes.contains(&scope)
    }

    /// The sessions that it may see; none: all.
    pub fn visible(&self) -> VisibleSessions {
        (!self.sessions.is_empty()).then(|| self.sessions.clone())
    }

    pub fn sees(&self, session: &str) -> bool {
        self.sessions.is_empty() || self.sessions.iter().any(|own| own.as_str() == session)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Missing only if a route stands outside of the authentication.
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}

impl OperationInput for Caller {}

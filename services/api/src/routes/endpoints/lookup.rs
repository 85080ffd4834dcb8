//! Finds an endpoint: in the bucket, or in the environment.

use crate::{
    app_state::AppState,
    endpoint_store::{StoredEndpoint, not_found},
    error_code::ErrorCode,
    extract::PathId,
    response::ApiError,
};
use kurir_contract::endpoint::{EndpointId, EndpointSettings};

/// The settings of an endpoint.
///
/// # Errors
/// If there is none of this id.
pub async fn endpoint_settings(app: &AppState, id: &EndpointId) -> Result<EndpointSettings, ApiError> {
    if id.is_default() {
        return default_endpoint(app).map(|default| default.settings).ok_or_else(not_found);
    }
    app.endpoint_store.get(id).await
}

/// The endpoint of `WEBHOOK_URL`; none if that is not set.
pub fn default_endpoint(app: &AppState) -> Option<StoredEndpoint> {
    let url = app.webhook_url.clone()?;
    // As the dispatchers have it.
    let settings = EndpointSettings { base64: true, ..EndpointSettings::new(url) };
    Some(StoredEndpoint { id: EndpointId::default(), settings })
}

/// # Errors
/// If there is no endpoint of this id.
pub async fn require_endpoint(app: &AppState, id: &EndpointId) -> Result<(), ApiError> {
    endpoint_settings(app, id).await.map(drop)
}

/// The id of an endpoint that the API may change.
///
/// # Errors
/// If only the environment can change it.
pub fn changeable(id: PathId) -> Result<EndpointId, ApiError> {
    let id = id.endpoint()?;
    if id.is_default() {
        let text = "The endpoint default comes from the environment: change WEBHOOK_URL and start the services again";
        return Err(ApiError::new(ErrorCode::ManagedByEnvironment, text));
    }
    Ok(id)
}

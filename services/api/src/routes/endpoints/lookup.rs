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
        return default_endpoint(app).await?.map(|default| default.settings).ok_or_else(not_found);
    }
    app.endpoint_store.get(id).await
}

/// The endpoint of `WEBHOOK_URL`, as the dispatchers have it; none if that is not set.
///
/// # Errors
/// If the broker is away.
pub async fn default_endpoint(app: &AppState) -> Result<Option<StoredEndpoint>, ApiError> {
    let Some(url) = app.webhook_url.clone() else { return Ok(None) };
    let id = EndpointId::default();
    let stored = app.endpoint_store.find(&id).await?;
    let settings = app.webhook.apply(url.clone(), stored.as_ref());
    // The settings were checked at the start.
    let settings = settings.unwrap_or_else(|_| EndpointSettings::contract_default(url));
    Ok(Some(StoredEndpoint { id, settings }))
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
        return Err(managed_by_environment("WEBHOOK_URL"));
    }
    Ok(id)
}

/// What only the environment can change.
pub fn managed_by_environment(variables: &str) -> ApiError {
    let text =
        format!("The endpoint default comes from the environment: change {variables} and start the services again");
    ApiError::new(ErrorCode::ManagedByEnvironment, text)
}

/// The id of an endpoint that the API may enable and disable.
///
/// # Errors
/// If the id is `default` and there is no `WEBHOOK_URL`.
pub fn switchable(app: &AppState, id: PathId) -> Result<EndpointId, ApiError> {
    let id = id.endpoint()?;
    if id.is_default() && app.webhook_url.is_none() {
        return Err(not_found());
    }
    Ok(id)
}

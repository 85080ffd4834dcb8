//! `PATCH` and `DELETE` of an endpoint, and its switch.

use super::{
    endpoint_input::{ChangeEndpointRequest, EndpointRules},
    endpoint_view::EndpointView,
    lookup::{changeable, endpoint_settings, managed_by_environment, switchable},
};
use crate::{
    app_state::AppState,
    extract::{JsonBody, PathId},
    response::{DataResponse, JsonResult, MessageResponse, data_response, message_response},
};
use axum::extract::State;
use kurir_contract::{
    clock,
    endpoint::{EndpointId, EndpointSettings},
};
use serde_json::{Map, Value};

pub async fn change_endpoint(
    State(app): State<AppState>,
    id: PathId,
    JsonBody(ChangeEndpointRequest(fields)): JsonBody<ChangeEndpointRequest>,
) -> JsonResult<DataResponse<EndpointView>> {
    let id = switchable(&app, id)?;
    if id.is_default() {
        return change_default(&app, fields).await;
    }
    let stream = app.events.stream_info().await?;
    let rules = EndpointRules { stream: &stream, allowed: &app.allowed_networks };
    let before = app.endpoint_store.get(&id).await?;
    let wanted = rules.read(fields.clone(), Some(&before))?;
    if wanted.enabled && !before.enabled {
        // First, as in `enable_endpoint`: a dispatcher that found "failing for six days" then would disable it again.
        app.endpoint_store.forget_state(&id).await?;
    }
    let settings = app.endpoint_store.change(&id, |before| rules.read(fields.clone(), Some(before))).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was changed");
    Ok(data_response(EndpointView::new(&id, &settings)))
}

/// Changes what the environment does not fix of the endpoint `default`.
async fn change_default(app: &AppState, fields: Map<String, Value>) -> JsonResult<DataResponse<EndpointView>> {
    let id = EndpointId::default();
    let fixed: Vec<&str> = fields.keys().filter_map(|field| app.webhook.fixed_by(field)).collect();
    if !fixed.is_empty() {
        return Err(managed_by_environment(&fixed.join(", ")));
    }
    let stream = app.events.stream_info().await?;
    let rules = EndpointRules { stream: &stream, allowed: &app.allowed_networks };
    let was_enabled = app.endpoint_store.find(&id).await?.is_none_or(|before| before.enabled);
    if !was_enabled && fields.get("enabled") == Some(&Value::Bool(true)) {
        app.endpoint_store.forget_state(&id).await?;
    }
    let settings = app.endpoint_store.change(&id, |before| rules.read_default(fields.clone(), before)).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was changed");
    Ok(data_response(EndpointView::new(&id, &as_delivered(app, &id, settings))))
}

/// The settings of an endpoint with those that the environment fixes.
fn as_delivered(app: &AppState, id: &EndpointId, stored: EndpointSettings) -> EndpointSettings {
    match app.webhook_url.clone().filter(|_| id.is_default()) {
        Some(url) => app.webhook.apply(url, Some(&stored)).unwrap_or(stored),
        None => stored,
    }
}

/// Also for an endpoint that is enabled and whose circuit is open: it is written in any case, so that the dispatchers
/// see it.
pub async fn enable_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<EndpointView>> {
    let id = switchable(&app, id)?;
    endpoint_settings(&app, &id).await?;
    app.endpoint_store.forget_state(&id).await?;
    let updated_at = clock::now_iso();
    let settings = app
        .endpoint_store
        .change(&id, |before| {
            let updated_at = updated_at.clone();
            Ok(EndpointSettings { enabled: true, disabled_reason: None, updated_at, ..before.clone() })
        })
        .await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was enabled");
    Ok(data_response(EndpointView::new(&id, &as_delivered(&app, &id, settings))))
}

/// Its events wait in EVENTS meanwhile.
pub async fn disable_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<EndpointView>> {
    let id = switchable(&app, id)?;
    let settings = app
        .endpoint_store
        .change(&id, |before| Ok(EndpointSettings { enabled: false, disabled_reason: None, ..before.clone() }))
        .await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was disabled");
    Ok(data_response(EndpointView::new(&id, &as_delivered(&app, &id, settings))))
}

pub async fn delete_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<MessageResponse> {
    let id = changeable(id)?;
    app.endpoint_store.delete(&id).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was deleted");
    Ok(message_response("Endpoint deleted"))
}

//! `PATCH` and `DELETE` of an endpoint, and its switch.

use super::{
    endpoint_input::{ChangeEndpointRequest, EndpointRules},
    endpoint_view::EndpointView,
    lookup::changeable,
};
use crate::{
    app_state::AppState,
    extract::{JsonBody, PathId},
    response::{DataResponse, JsonResult, MessageResponse, data_response, message_response},
};
use axum::extract::State;
use kurir_contract::{clock, endpoint::EndpointSettings};

pub async fn change_endpoint(
    State(app): State<AppState>,
    id: PathId,
    JsonBody(ChangeEndpointRequest(fields)): JsonBody<ChangeEndpointRequest>,
) -> JsonResult<DataResponse<EndpointView>> {
    let id = changeable(id)?;
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

/// Also for an endpoint that is enabled and whose circuit is open: it is written in any case, so that the dispatchers
/// see it.
pub async fn enable_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<EndpointView>> {
    let id = changeable(id)?;
    app.endpoint_store.get(&id).await?;
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
    Ok(data_response(EndpointView::new(&id, &settings)))
}

/// Its events wait in EVENTS meanwhile.
pub async fn disable_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<EndpointView>> {
    let id = changeable(id)?;
    let settings = app
        .endpoint_store
        .change(&id, |before| Ok(EndpointSettings { enabled: false, disabled_reason: None, ..before.clone() }))
        .await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was disabled");
    Ok(data_response(EndpointView::new(&id, &settings)))
}

pub async fn delete_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<MessageResponse> {
    let id = changeable(id)?;
    app.endpoint_store.delete(&id).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was deleted");
    Ok(message_response("Endpoint deleted"))
}

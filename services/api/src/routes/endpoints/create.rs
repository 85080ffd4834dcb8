//! `POST /api/endpoints`: a new endpoint, whose events begin when it is made.

use super::{
    endpoint_input::{CreateEndpointRequest, EndpointRules},
    endpoint_view::EndpointSecretView,
};
use crate::{
    app_state::AppState,
    extract::JsonBody,
    response::{ApiError, CreatedResponse, DataResponse, data_response},
};
use axum::extract::State;
use kurir_contract::{
    clock,
    endpoint::{EndpointId, SigningSecret, StoredSecret},
};

pub async fn create_endpoint(
    State(app): State<AppState>,
    JsonBody(CreateEndpointRequest(fields)): JsonBody<CreateEndpointRequest>,
) -> Result<CreatedResponse<DataResponse<EndpointSecretView>>, ApiError> {
    // Before the endpoint is stored: what is published from here on is its, and nothing from before.
    let stream = app.events.stream_info().await?;
    let mut settings = EndpointRules { stream: &stream, allowed: &app.allowed_networks }.read(fields, None)?;
    if settings.secrets.is_empty() {
        settings.secrets.push(StoredSecret::new(SigningSecret::random()));
    }
    settings.start_sequence = stream.next_sequence;
    settings.stream_created = stream.created;
    settings.created_at = clock::now_iso();
    settings.updated_at.clone_from(&settings.created_at);
    let id = EndpointId::random();
    app.endpoint_store.create(&id, &settings).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was made");
    let body = data_response(EndpointSecretView::new(&id, &settings));
    Ok(CreatedResponse { location: format!("/api/endpoints/{id}"), body })
}

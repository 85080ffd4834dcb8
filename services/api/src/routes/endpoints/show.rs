//! `GET /api/endpoints/{id}`: one endpoint, how it fares and what waits for it.

use super::{endpoint_view::EndpointDetailsView, lookup::endpoint_settings};
use crate::{
    app_state::AppState,
    endpoint_backlog::read_endpoint_backlog,
    extract::PathId,
    response::{DataResponse, JsonResult, data_response},
};
use axum::extract::State;

pub async fn show_endpoint(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<EndpointDetailsView>> {
    let id = id.endpoint()?;
    let settings = endpoint_settings(&app, &id).await?;
    let (state, backlog) = futures::try_join!(app.endpoint_store.state(&id), read_endpoint_backlog(&app.broker, &id))?;
    Ok(data_response(EndpointDetailsView::new(&id, &settings, state, backlog)))
}

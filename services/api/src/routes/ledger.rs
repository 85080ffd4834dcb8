//! `GET /api/ledger`: where an endpoint's events are, counted by a dispatcher from the broker's own figures.

use super::endpoints::require_endpoint;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::QueryParams,
    fields::{Field, FieldError, FieldErrors, QueryEndpoint, Timestamp},
    response::{DataResponse, JsonResult, data_response},
};
use axum::extract::State;
use kurir_contract::{
    clock,
    webhook::{LedgerReport, LedgerRequest, WebhookCommand},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whose events are counted, and from when to when.
#[derive(Deserialize, JsonSchema)]
pub struct LedgerQuery {
    endpoint: Field<QueryEndpoint>,
    /// Events that were stored since then.
    from: Option<Field<Timestamp>>,
    /// Events that were stored before then.
    to: Option<Field<Timestamp>>,
}

pub async fn show_ledger(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<LedgerQuery>,
) -> JsonResult<DataResponse<LedgerReport>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let endpoint = errors.take("endpoint", query.endpoint);
    let from = errors.take_optional("from", query.from).map(|Timestamp(from)| from);
    let to = errors.take_optional("to", query.to).map(|Timestamp(to)| to);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        errors.add("to", FieldError::predicate("must be later than from"));
    }
    let request = errors.finish(|| {
        let QueryEndpoint(endpoint) = endpoint?;
        Some(LedgerRequest { endpoint, from: from.map(clock::iso), to: to.map(clock::iso) })
    })?;
    require_endpoint(&app, &request.endpoint).await?;
    Ok(data_response(app.dispatchers.ask::<LedgerReport>(WebhookCommand::Ledger, &request).await?))
}

//! `GET /api/ledger`: where an endpoint's events are, counted by a dispatcher from the broker's own figures.

use super::endpoints::must_exist;
use crate::{
    app_state::AppState,
    extract::{QueryParams, field_problem, parse_timestamp},
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    clock,
    endpoint::FieldProblem,
    webhook::{LedgerReport, LedgerRequest, WebhookCommand},
};
use serde_json::json;
use time::OffsetDateTime;

pub async fn show(State(app): State<AppState>, query: QueryParams) -> JsonResult {
    let request = read(&query)?;
    must_exist(&app, &request.endpoint).await?;
    let ledger: LedgerReport = app.dispatchers.ask(WebhookCommand::Ledger, &request).await?;
    Ok(Json(json!({"success": true, "data": ledger})))
}

fn read(query: &QueryParams) -> Result<LedgerRequest, ApiError> {
    let mut problems = Vec::new();
    let endpoint = query.endpoint()?;
    if endpoint.is_none() {
        problems.push(field_problem("endpoint", "is required: the id of an endpoint"));
    }
    let (from, to) = (end("from", query, &mut problems), end("to", query, &mut problems));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        problems.push(field_problem("to", "must be later than from"));
    }
    match endpoint {
        Some(endpoint) if problems.is_empty() => {
            Ok(LedgerRequest { endpoint, from: from.map(clock::iso), to: to.map(clock::iso) })
        }
        Some(_) | None => Err(ApiError::invalid("invalid_query", problems)),
    }
}

/// One end of the span, if it is given.
fn end(name: &str, query: &QueryParams, problems: &mut Vec<FieldProblem>) -> Option<OffsetDateTime> {
    match parse_timestamp(name, query.get(name)?) {
        Ok(moment) => Some(moment),
        Err(wrong) => {
            problems.push(wrong);
            None
        }
    }
}

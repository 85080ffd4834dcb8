//! `GET /api/ledger`: where an endpoint's events are, counted by a dispatcher from the broker's own figures.

use super::endpoints::must_exist;
use crate::{
    answer::{Answer, Failure},
    app::App,
    parameters::{Query, moment, problem},
};
use axum::{Json, extract::State};
use kurir_contract::{
    clock,
    endpoint::FieldProblem,
    webhook::{LedgerReport, LedgerRequest, WebhookCommand},
};
use serde_json::json;
use time::OffsetDateTime;

pub async fn show(State(app): State<App>, query: Query) -> Answer {
    let request = read(&query)?;
    must_exist(&app, &request.endpoint).await?;
    let ledger: LedgerReport = app.dispatchers.ask(WebhookCommand::Ledger, &request).await?;
    Ok(Json(json!({"success": true, "data": ledger})))
}

fn read(query: &Query) -> Result<LedgerRequest, Failure> {
    let mut problems = Vec::new();
    let endpoint = query.endpoint()?;
    if endpoint.is_none() {
        problems.push(problem("endpoint", "is required: the id of an endpoint"));
    }
    let (from, to) = (end("from", query, &mut problems), end("to", query, &mut problems));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        problems.push(problem("to", "must be later than from"));
    }
    match endpoint {
        Some(endpoint) if problems.is_empty() => {
            Ok(LedgerRequest { endpoint, from: from.map(clock::iso), to: to.map(clock::iso) })
        }
        Some(_) | None => Err(Failure::invalid("invalid_query", problems)),
    }
}

/// One end of the span, if it is given.
fn end(name: &str, query: &Query, problems: &mut Vec<FieldProblem>) -> Option<OffsetDateTime> {
    match moment(name, query.get(name)?) {
        Ok(moment) => Some(moment),
        Err(wrong) => {
            problems.push(wrong);
            None
        }
    }
}

//! `GET /api/endpoints`: all of them, a page at a time.

use super::{default, endpoint_view};
use crate::{
    app_state::AppState,
    endpoint_store::StoredEndpoint,
    extract::{QueryParams, field_problem},
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use serde_json::{Value, json};

/// The oldest first, before them `default`.
pub async fn list(State(app): State<AppState>, query: QueryParams) -> JsonResult {
    let limit = query.limit()?;
    let after = query.get("after").map(EndpointCursor::read).transpose()?;
    let mut all: Vec<StoredEndpoint> = default(&app).into_iter().collect();
    all.extend(app.endpoints.all().await?);
    let begins = after.map_or(0, |after| all.partition_point(|endpoint| EndpointCursor::of(endpoint) <= after));
    let rest = &all[begins..];
    let page = &rest[..limit.min(rest.len())];
    let next = page.last().filter(|_| rest.len() > page.len()).map(|last| EndpointCursor::of(last).write());
    let data: Vec<Value> =
        page.iter().map(|endpoint| endpoint_view::endpoint(&endpoint.id, &endpoint.settings)).collect();
    Ok(Json(json!({"success": true, "data": data, "next": next})))
}

/// A place in the list, whether or not the endpoint that was there is still there: when it was made, and its id.
/// `default` was made at no time, so it is the first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct EndpointCursor {
    created_at: String,
    id: String,
}

impl EndpointCursor {
    fn of(endpoint: &StoredEndpoint) -> Self {
        Self { created_at: endpoint.settings.created_at.clone(), id: endpoint.id.as_str().to_owned() }
    }

    fn write(&self) -> String {
        format!("{}_{}", self.created_at, self.id)
    }

    fn read(given: &str) -> Result<Self, ApiError> {
        let (created_at, id) = given.split_once('_').ok_or_else(|| {
            ApiError::invalid("invalid_query", vec![field_problem("after", "must be the \"next\" of the page before")])
        })?;
        Ok(Self { created_at: created_at.to_owned(), id: id.to_owned() })
    }
}

//! `GET /api/endpoints`: all of them, a page at a time.

use super::{endpoint_view::EndpointView, lookup::default_endpoint};
use crate::{
    app_state::AppState,
    endpoint_store::StoredEndpoint,
    error_code::ErrorCode,
    extract::QueryParams,
    fields::{CursorText, FieldErrors, PageQuery},
    response::{JsonResult, PageResponse, page_response},
};
use axum::extract::State;

/// The oldest first, before them `default`.
pub async fn list_endpoints(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> JsonResult<PageResponse<EndpointView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let (limit, after) = query.read(&mut errors);
    let after = after.and_then(|after| {
        let cursor = EndpointCursor::parse(&after);
        if cursor.is_none() {
            errors.add("after", CursorText::invalid());
        }
        cursor
    });
    errors.finish(|| Some(()))?;
    let mut all: Vec<StoredEndpoint> = default_endpoint(&app).await?.into_iter().collect();
    all.extend(app.endpoint_store.all().await?);
    let begins = after.map_or(0, |after| all.partition_point(|endpoint| EndpointCursor::new(endpoint) <= after));
    let rest = &all[begins..];
    let page = &rest[..limit.min(rest.len())];
    let next = page.last().filter(|_| rest.len() > page.len()).map(|last| EndpointCursor::new(last).to_text());
    let views = page.iter().map(|endpoint| EndpointView::new(&endpoint.id, &endpoint.settings)).collect();
    Ok(page_response(views, next))
}

/// A place in the list, whether or not the endpoint that was there is still there: when it was made, and its id.
/// `default` was made at no time, so it is the first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct EndpointCursor {
    created_at: String,
    id: String,
}

impl EndpointCursor {
    fn new(endpoint: &StoredEndpoint) -> Self {
        Self { created_at: endpoint.settings.created_at.clone(), id: endpoint.id.as_str().to_owned() }
    }

    fn to_text(&self) -> String {
        format!("{}_{}", self.created_at, self.id)
    }

    fn parse(given: &str) -> Option<Self> {
        let (created_at, id) = given.split_once('_')?;
        Some(Self { created_at: created_at.to_owned(), id: id.to_owned() })
    }
}

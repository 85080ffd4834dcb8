//! `GET /api/endpoints`: all of them, a page at a time.

use super::{default, shown};
use crate::{
    answer::{Answer, Failure},
    app::App,
    endpoints::Endpoint,
    parameters::{Query, problem},
};
use axum::{Json, extract::State};
use serde_json::{Value, json};

/// The oldest first, before them `default`.
pub async fn list(State(app): State<App>, query: Query) -> Answer {
    let limit = query.limit()?;
    let after = query.get("after").map(Cursor::read).transpose()?;
    let mut all: Vec<Endpoint> = default(&app).into_iter().collect();
    all.extend(app.endpoints.all().await?);
    let begins = after.map_or(0, |after| all.partition_point(|endpoint| Cursor::of(endpoint) <= after));
    let rest = &all[begins..];
    let page = &rest[..limit.min(rest.len())];
    let next = page.last().filter(|_| rest.len() > page.len()).map(|last| Cursor::of(last).write());
    let data: Vec<Value> = page.iter().map(|endpoint| shown::endpoint(&endpoint.id, &endpoint.settings)).collect();
    Ok(Json(json!({"success": true, "data": data, "next": next})))
}

/// A place in the list, whether or not the endpoint that was there is still there: when it was made, and its id.
/// `default` was made at no time, so it is the first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    created_at: String,
    id: String,
}

impl Cursor {
    fn of(endpoint: &Endpoint) -> Self {
        Self { created_at: endpoint.settings.created_at.clone(), id: endpoint.id.as_str().to_owned() }
    }

    fn write(&self) -> String {
        format!("{}_{}", self.created_at, self.id)
    }

    fn read(given: &str) -> Result<Self, Failure> {
        let (created_at, id) = given.split_once('_').ok_or_else(|| {
            Failure::invalid("invalid_query", vec![problem("after", "must be the \"next\" of the page before")])
        })?;
        Ok(Self { created_at: created_at.to_owned(), id: id.to_owned() })
    }
}

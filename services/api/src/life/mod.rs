//! The life of one event: what happened to its message, and at each endpoint.
//!
//! The search index has what is over, NATS what is now: `read_life` asks both. `message_steps` and `endpoint_life` put it
//! together; they are pure.

mod endpoint_life;
mod message_steps;
mod present_state;

pub use endpoint_life::EndpointLife;
pub use message_steps::LifeStep;

use crate::{
    app_state::AppState,
    endpoint_store::StoredEndpoint,
    index::query::{
        PageRequest,
        audit::{AuditFilter, list_audit},
        deliveries::attempts_of_event,
        events::{EventSummary, events_about, events_of_message},
    },
    response::ApiError,
    routes::endpoints::default_endpoint,
};
use endpoint_life::EndpointFacts;
use present_state::read_present_state;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;

/// Endpoints that did not want the event are shown with the reason; nobody reads more of them.
const MOST_UNMATCHED: usize = 50;

/// Everything that happened to an event.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventLife {
    event: EventSummary,
    /// In order; a step without a time came between its neighbours.
    steps: Vec<LifeStep>,
    /// Those that wanted it first.
    endpoints: Vec<EndpointLife>,
}

/// # Errors
/// If NATS is away.
pub async fn read_life(app: &AppState, event: EventSummary) -> Result<EventLife, ApiError> {
    let sequence = event.sequence;
    let (id, session, message_id) = (event.id.clone(), event.session.clone(), event.message_id.clone());
    let (related, about, attempts, asked) = app
        .index
        .query(move |connection| {
            let related = match &message_id {
                Some(message_id) => events_of_message(connection, &session, message_id)?,
                None => Vec::new(),
            };
            let about = events_about(connection, &id)?;
            let attempts = attempts_of_event(connection, sequence)?;
            let page = PageRequest { limit: 10, before: None };
            let asked = match message_id {
                Some(target) => list_audit(connection, &AuditFilter { key: None, target: Some(target) }, &page)?.rows,
                None => Vec::new(),
            };
            Ok((related, about, attempts, asked))
        })
        .await?;
    let mut stored: Vec<StoredEndpoint> = default_endpoint(app).await?.into_iter().collect();
    stored.extend(app.endpoint_store.all().await?);
    let present = read_present_state(app, &event).await?;
    let mut by_endpoint: HashMap<String, Vec<_>> = HashMap::new();
    for attempt in attempts {
        by_endpoint.entry(attempt.endpoint.clone()).or_default().push(attempt);
    }
    let mut endpoints = Vec::new();
    for endpoint in stored {
        let attempts = by_endpoint.remove(endpoint.id.as_str()).unwrap_or_default();
        let mut facts = EndpointFacts::new(&event, &endpoint, &present, attempts);
        if facts.needs_state() {
            facts.state = Some(app.endpoint_store.state(&endpoint.id).await?);
            facts.acknowledged = present.acknowledged_floor(app, &endpoint.id).await;
        }
        endpoints.push(facts.decide());
    }
    // Endpoints that were deleted since.
    endpoints.extend(by_endpoint.into_iter().map(|(id, attempts)| EndpointLife::of_deleted(id, attempts)));
    endpoints.sort_by_key(|endpoint| !endpoint.is_matched());
    let matched = endpoints.iter().filter(|endpoint| endpoint.is_matched()).count();
    endpoints.truncate(matched + MOST_UNMATCHED);
    let steps = message_steps::steps(&event, &related, &about, &asked);
    Ok(EventLife { event, steps, endpoints })
}

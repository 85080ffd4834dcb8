//! `POST /api/endpoints/{id}/test`: an event that goes to this endpoint alone, and how its delivery ended.
//!
//! It goes the way of every event. An endpoint hears its own tests whatever it wants otherwise; a type that the caller
//! chose must be one that it wants.

use super::settings;
use crate::{
    app_state::AppState,
    event_publisher::DeliveryOutcome,
    extract::JsonObject,
    extract::{PathId, field_problem},
    response::{ApiError, JsonResult},
    routes::webhook,
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    endpoint::EndpointSettings,
    event::{EventEnvelope, EventType},
    session::SessionId,
    subject,
};
use serde_json::json;
use time::OffsetDateTime;

pub async fn test(State(app): State<AppState>, id: PathId, JsonObject(fields): JsonObject) -> JsonResult {
    let id = id.endpoint()?;
    let chosen = webhook::chosen_type(&fields)?;
    let now = OffsetDateTime::now_utc();
    let data = webhook::test_data(fields, now)?;
    let settings = settings(&app, &id).await?;
    if !settings.enabled {
        let message = "The endpoint is disabled, so nothing is delivered to it: enable it first";
        return Err(ApiError::new(StatusCode::CONFLICT, "endpoint_disabled", message));
    }
    let outcome = match chosen {
        None => {
            let test = "test".parse().map_err(|_| ApiError::internal())?;
            app.events.deliver_only(&subject::test_of_endpoint(&id), &EventEnvelope::new(test, now, data), &id).await?
        }
        Some(event) => {
            let subject = wanted(&settings, &event)?;
            app.events.deliver_only(&subject, &EventEnvelope::new(event, now, data), &id).await?
        }
    };
    let mut result = webhook::result(&outcome);
    match outcome {
        DeliveryOutcome::GivenUp { reason: Some(reason) } => result["reason"] = json!(reason),
        DeliveryOutcome::GivenUp { reason: None }
        | DeliveryOutcome::Delivered { .. }
        | DeliveryOutcome::StillRetried(_) => {}
    }
    Ok(Json(json!({"success": true, "message": "Webhook test completed", "result": result})))
}

/// Where an event of this type reaches the endpoint; another than it wants never would.
fn wanted(settings: &EndpointSettings, event: &EventType) -> Result<String, ApiError> {
    let admitted = settings.events.is_empty() || settings.events.iter().any(|pattern| pattern.admits(event));
    if !admitted {
        let refused = field_problem("eventType", "is none of the events that the endpoint wants");
        return Err(ApiError::invalid("invalid_event_type", vec![refused]));
    }
    let default = SessionId::default();
    let session = settings.sessions.first().filter(|_| !settings.sessions.contains(&default)).unwrap_or(&default);
    Ok(subject::event(session, event))
}

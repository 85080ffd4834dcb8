//! `POST /api/endpoints/{id}/test`: an event that goes to this endpoint alone, and how its delivery ended.
//!
//! It goes the way of every event. An endpoint hears its own tests whatever it wants otherwise; a type that the caller
//! chose must be one that it wants.

use super::lookup::endpoint_settings;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId},
    fields::field_problem,
    response::{ApiError, JsonResult},
    routes::webhook::{DeliveryResponse, TestWebhookRequest, test_event_type},
};
use axum::{Json, extract::State};
use kurir_contract::{
    endpoint::EndpointSettings,
    event::{EventEnvelope, EventType},
    session::SessionId,
    subject,
};
use time::OffsetDateTime;

pub async fn test_endpoint(
    State(app): State<AppState>,
    id: PathId,
    JsonBody(body): JsonBody<TestWebhookRequest>,
) -> JsonResult<DeliveryResponse> {
    let id = id.endpoint()?;
    let now = OffsetDateTime::now_utc();
    let (chosen, data) = body.read(now)?;
    let settings = endpoint_settings(&app, &id).await?;
    if !settings.enabled {
        let text = "The endpoint is disabled, so nothing is delivered to it: enable it first";
        return Err(ApiError::new(ErrorCode::EndpointDisabled, text));
    }
    let (subject, event) = match chosen {
        None => (subject::test_of_endpoint(&id), test_event_type()?),
        Some(event) => (wanted_subject(&settings, &event)?, event),
    };
    let outcome = app.events.deliver_only(&subject, &EventEnvelope::new(event, now, data), &id).await?;
    Ok(Json(DeliveryResponse::ended("Webhook test completed", outcome, true)))
}

/// Where an event of this type reaches the endpoint; another than it wants never would.
fn wanted_subject(settings: &EndpointSettings, event: &EventType) -> Result<String, ApiError> {
    let admitted = settings.events.is_empty() || settings.events.iter().any(|pattern| pattern.admits(event));
    if !admitted {
        let refused = field_problem("eventType", "is none of the events that the endpoint wants");
        return Err(ApiError::invalid(ErrorCode::InvalidEventType, vec![refused]));
    }
    let default = SessionId::default();
    let session = settings.sessions.first().filter(|_| !settings.sessions.contains(&default)).unwrap_or(&default);
    Ok(subject::event(session, event))
}

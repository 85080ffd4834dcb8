//! `POST /api/endpoints/{id}/test`: an event that goes to this endpoint alone, and how its delivery ended.
//!
//! It goes the way of every event. An endpoint hears its own tests whatever it wants otherwise; a type that the caller
//! chose must be one that it wants.

use super::lookup::endpoint_settings;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{LenientJsonBody, PathId},
    fields::field_problem,
    response::{ApiError, JsonResult},
    routes::webhook::{DeliveryResponse, TestWebhookRequest, test_event_type},
};
use axum::{Json, extract::State};
use kurir_contract::{
    clock,
    endpoint::EndpointSettings,
    event::{EventEnvelope, EventType},
    session::SessionId,
    subject,
};

pub async fn test_endpoint(
    State(app): State<AppState>,
    id: PathId,
    LenientJsonBody(body): LenientJsonBody<TestWebhookRequest>,
) -> JsonResult<DeliveryResponse> {
    let id = id.endpoint()?;
    let now = clock::now();
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
    let wanted = is_wanted(&settings, &event);
    let outcome = app.events.deliver_only(&subject, &EventEnvelope::new(event, now, data), &id).await?;
    Ok(Json(DeliveryResponse::ended("Webhook test completed", outcome, true).of_endpoint(wanted)))
}

/// Whether events of this type reach the endpoint without being a test.
fn is_wanted(settings: &EndpointSettings, event: &EventType) -> bool {
    settings.events.is_empty() || settings.events.iter().any(|pattern| pattern.admits(event))
}

/// Where an event of this type reaches the endpoint; another than it wants never would.
fn wanted_subject(settings: &EndpointSettings, event: &EventType) -> Result<String, ApiError> {
    if !is_wanted(settings, event) {
        let refused = field_problem("eventType", "is none of the events that the endpoint wants");
        return Err(ApiError::invalid(ErrorCode::InvalidEventType, vec![refused]));
    }
    let default = SessionId::default();
    let session = settings.sessions.first().filter(|_| !settings.sessions.contains(&default)).unwrap_or(&default);
    Ok(subject::event(session, event))
}

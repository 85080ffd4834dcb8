//! `POST /api/endpoints/{id}/test`: an event that goes to this endpoint alone, and how its delivery ended.
//!
//! It goes the way of every event, so it is of a session and a type that the endpoint wants.

use super::settings;
use crate::{
    answer::{Answer, Failure},
    app::App,
    body::Fields,
    events::Outcome,
    parameters::{Id, problem},
    routes::webhook,
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    endpoint::{EventPattern, Settings},
    event::{Envelope, EventType},
    session::SessionId,
};
use serde_json::json;
use time::OffsetDateTime;

pub async fn test(State(app): State<App>, id: Id, Fields(fields): Fields) -> Answer {
    let id = id.endpoint()?;
    let chosen = webhook::chosen_type(&fields)?;
    let now = OffsetDateTime::now_utc();
    let data = webhook::test_data(fields, now)?;
    let settings = settings(&app, &id).await?;
    if !settings.enabled {
        let message = "The endpoint is disabled, so nothing is delivered to it: enable it first";
        return Err(Failure::new(StatusCode::CONFLICT, "endpoint_disabled", message));
    }
    let event = wanted(&settings.events, chosen)?;
    let outcome = app.events.deliver_only(&session(&settings), &Envelope::new(event, now, data), &id).await?;
    let mut result = webhook::result(&outcome);
    if let Outcome::GivenUp { reason: Some(reason) } = outcome {
        result["reason"] = json!(reason);
    }
    Ok(Json(json!({"success": true, "message": "Webhook test completed", "result": result})))
}

/// What the caller chose, else `test`, else a type that the endpoint wants. Another would never reach it.
fn wanted(events: &[EventPattern], chosen: Option<EventType>) -> Result<EventType, Failure> {
    let admitted = |event: &EventType| events.is_empty() || events.iter().any(|pattern| pattern.admits(event));
    if let Some(chosen) = chosen {
        let refused = || problem("eventType", "is none of the events that the endpoint wants");
        return Some(chosen).filter(admitted).ok_or_else(|| Failure::invalid("invalid_event_type", vec![refused()]));
    }
    let test = "test".parse().ok().filter(admitted);
    Ok(test.or_else(|| events.first().map(EventPattern::example)).unwrap_or(EventType::UNKNOWN))
}

fn session(settings: &Settings) -> SessionId {
    let default = SessionId::default();
    match settings.sessions.first() {
        Some(first) if !settings.sessions.contains(&default) => first.clone(),
        Some(_) | None => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_of_a_type_that_the_endpoint_wants() {
        let patterns = |names: &[&str]| names.iter().map(|name| name.parse().expect("a pattern")).collect::<Vec<_>>();
        for (events, expected) in [
            (&[][..], "test"),
            (&["*"], "test"),
            (&["message.*", "test"], "test"),
            (&["message.*"], "message.test"),
            (&["message.received"], "message.received"),
        ] {
            assert_eq!(wanted(&patterns(events), None).expect("one").as_str(), expected);
        }
        let chosen = || Some(EventType::MESSAGE_SENT);
        assert_eq!(wanted(&patterns(&["message.*"]), chosen()), Ok(EventType::MESSAGE_SENT));
        assert!(wanted(&patterns(&["message.received"]), chosen()).is_err());
    }
}

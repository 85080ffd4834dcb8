//! What happened to an event at one endpoint, and why. Pure.

use super::present_state::{DeadLetterFacts, PresentState, WaitingRetry};
use crate::{
    endpoint_store::StoredEndpoint,
    index::query::{deliveries::DeliveryView, events::EventSummary},
};
use kurir_contract::{
    endpoint::{CircuitState, EndpointId, EndpointState, filter_subjects},
    event::EventType,
    session::SessionId,
    subject,
};
use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

/// Where an event is at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointLifeState {
    /// The receiver answered with a 2xx.
    Delivered,
    /// It waits for its next attempt, for the receiver, or for an earlier event of its chat.
    Waiting,
    /// It was given up and is a dead letter.
    Dead,
    /// The endpoint's content filter or format excludes it, or it is about the endpoint itself.
    Filtered,
    /// It waits to be taken by a dispatcher, or is in delivery.
    Pending,
    /// The endpoint does not want such events, or was made later.
    Unmatched,
    /// The record of its end is gone: deliveries are kept shorter than events.
    Unknown,
}

/// An event at one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointLife {
    endpoint: String,
    /// Host of its URL; null if the endpoint is gone.
    host: Option<String>,
    state: EndpointLifeState,
    /// Why, in words.
    reason: String,
    /// When the next attempt is due, ISO 8601.
    until: Option<String>,
    /// Its id in DEAD_LETTERS.
    dead_letter: Option<u64>,
    /// Every attempt, the oldest first.
    attempts: Vec<DeliveryView>,
}

impl EndpointLife {
    pub fn is_matched(&self) -> bool {
        self.state != EndpointLifeState::Unmatched
    }

    pub fn of_deleted(endpoint: String, attempts: Vec<DeliveryView>) -> Self {
        let is_delivered = attempts.iter().any(|attempt| attempt.outcome == "delivered");
        let state = if is_delivered { EndpointLifeState::Delivered } else { EndpointLifeState::Unknown };
        let reason = "the endpoint was deleted".to_owned();
        Self { endpoint, host: None, state, reason, until: None, dead_letter: None, attempts }
    }
}

/// What is known about an event at an endpoint.
pub struct EndpointFacts {
    id: EndpointId,
    host: Option<String>,
    is_enabled: bool,
    disabled_reason: Option<String>,
    /// Why the endpoint does not get it; none if it does.
    unmatched: Option<String>,
    attempts: Vec<DeliveryView>,
    retry: Option<WaitingRetry>,
    dead_letter: Option<DeadLetterFacts>,
    sequence: u64,
    /// Read only if it is needed.
    pub state: Option<EndpointState>,
    /// The last event that the endpoint's consumer is done with.
    pub acknowledged: Option<u64>,
}

impl EndpointFacts {
    pub fn new(
        event: &EventSummary,
        endpoint: &StoredEndpoint,
        present: &PresentState,
        attempts: Vec<DeliveryView>,
    ) -> Self {
        let (id, settings) = (&endpoint.id, &endpoint.settings);
        Self {
            id: id.clone(),
            host: Url::parse(&settings.url).ok().and_then(|url| url.host_str().map(str::to_owned)),
            is_enabled: settings.enabled,
            disabled_reason: settings.disabled_reason.clone(),
            unmatched: unmatched_reason(event, endpoint, present),
            attempts,
            retry: present.retries.get(id.as_str()).cloned(),
            dead_letter: present.dead_letters.get(id.as_str()).cloned(),
            sequence: event.sequence,
            state: None,
            acknowledged: None,
        }
    }

    /// Whether the answer depends on the endpoint's state and on its consumer.
    pub fn needs_state(&self) -> bool {
        let has_end = self.attempts.iter().any(|attempt| attempt.outcome == "delivered");
        self.unmatched.is_none() && !has_end && self.dead_letter.is_none()
    }

    pub fn decide(self) -> EndpointLife {
        let (state, reason, until) = self.state_and_reason();
        EndpointLife {
            endpoint: self.id.as_str().to_owned(),
            host: self.host,
            state,
            reason,
            until,
            dead_letter: self.dead_letter.map(|letter| letter.id),
            attempts: self.attempts,
        }
    }

    fn state_and_reason(&self) -> (EndpointLifeState, String, Option<String>) {
        use EndpointLifeState as S;
        if let Some(done) = self.attempts.iter().rev().find(|attempt| attempt.outcome == "delivered") {
            let status = done.status.map(|status| format!(" with {status}")).unwrap_or_default();
            return (S::Delivered, format!("the receiver answered{status} at attempt {}", done.attempt), None);
        }
        if let Some(retry) = &self.retry {
            return (S::Waiting, self.waiting_reason(retry), retry.until.clone());
        }
        if let Some(letter) = &self.dead_letter {
            return (S::Dead, letter.reason.clone(), None);
        }
        if let Some(filtered) = self.attempts.iter().find(|attempt| attempt.outcome == "filtered") {
            let by = match filtered.class.as_deref() {
                Some("content") => "the endpoint's content filter excludes it",
                Some("format") => "the endpoint's format has no such event",
                Some("about") => "it is about the endpoint itself",
                Some(_) | None => "the endpoint excludes it",
            };
            return (S::Filtered, by.to_owned(), None);
        }
        if let Some(reason) = &self.unmatched {
            return (S::Unmatched, reason.clone(), None);
        }
        if self.acknowledged.is_some_and(|floor| self.sequence <= floor) {
            let reason = "it is settled, and the record of its attempts is gone or not indexed yet";
            return (S::Unknown, reason.to_owned(), None);
        }
        (S::Pending, self.pending_reason(), None)
    }

    fn waiting_reason(&self, retry: &WaitingRetry) -> String {
        if let Some(reason) = self.endpoint_reason() {
            return reason;
        }
        let last = self.attempts.last().map(failure_text);
        let last = last.map(|last| format!(" (the last one: {last})")).unwrap_or_default();
        match (retry.state.as_str(), &retry.attempt) {
            ("parked", _) => "it waits for an earlier event of its chat".to_owned(),
            ("due", _) => format!("its next attempt is due{last}"),
            (_, Some(attempt)) => format!("it waits for attempt {attempt}{last}"),
            (_, None) => format!("it waits for its next attempt{last}"),
        }
    }

    fn pending_reason(&self) -> String {
        self.endpoint_reason().unwrap_or_else(|| "a dispatcher has not taken it yet, or is delivering it".to_owned())
    }

    /// Why the endpoint gets nothing at all now.
    fn endpoint_reason(&self) -> Option<String> {
        if !self.is_enabled {
            let why = self.disabled_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            return Some(format!("the endpoint is disabled{why}"));
        }
        let state = self.state.as_ref().filter(|state| state.circuit != CircuitState::Closed)?;
        let why = state.last_error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("the receiver fails, and its events wait until it answers again{why}"))
    }
}

fn failure_text(attempt: &DeliveryView) -> String {
    match attempt.status {
        Some(status) => format!("the receiver answered {status}"),
        None => attempt.answer.clone().unwrap_or_else(|| "no answer".to_owned()),
    }
}

/// Why an endpoint does not get the event at all.
fn unmatched_reason(event: &EventSummary, endpoint: &StoredEndpoint, present: &PresentState) -> Option<String> {
    let (id, settings) = (&endpoint.id, &endpoint.settings);
    if present.only_for.as_deref().is_some_and(|only| only != id.as_str()) {
        return Some("it is a test of another endpoint".to_owned());
    }
    if present.not_for.as_deref() == Some(id.as_str()) {
        return Some("it is about the endpoint itself".to_owned());
    }
    if event.sequence < settings.start_sequence {
        return Some("the endpoint was made after the event was stored".to_owned());
    }
    if present.only_for.is_some() {
        return None;
    }
    let session: SessionId = event.session.parse().ok()?;
    let event_type: EventType = event.event.parse().ok()?;
    if !settings.sessions.is_empty() && !settings.sessions.contains(&session) {
        return Some(format!("the endpoint does not want events of the session {session}"));
    }
    let stored_at = subject::event(&session, &event_type);
    let wanted = filter_subjects(&settings.sessions, &settings.events);
    if wanted.iter().any(|filter| subject::filter_matches(filter, &stored_at)) {
        return None;
    }
    Some(format!("the endpoint does not want events of the type {event_type}"))
}

#[cfg(test)]
mod tests;

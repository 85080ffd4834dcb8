//! What NATS says about an event at this moment: its retries, its dead letters, who may have it.

use crate::{app_state::AppState, index::query::events::EventSummary, response::ApiError};
use async_nats::jetstream::{
    message::StreamMessage,
    stream::{DirectGetErrorKind, Stream},
};
use kurir_contract::{
    delivery::DeadLetter,
    endpoint::EndpointId,
    event::EventId,
    header,
    stream::{DEAD_LETTERS, EVENTS, RETRIES},
    subject,
};
use std::{collections::HashMap, time::Duration};

/// The API promises its 503 within 5 s.
const WITHIN: Duration = Duration::from_secs(4);
/// Endpoints at which one event waits or is dead.
const MOST: usize = 1_000;

/// A retry of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRetry {
    /// `waiting`, `due` or `parked`.
    pub state: String,
    /// When it is due, ISO 8601.
    pub until: Option<String>,
    pub attempt: Option<String>,
}

/// A dead letter of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterFacts {
    pub id: u64,
    pub reason: String,
    pub at: String,
}

/// The event's present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentState {
    pub retries: HashMap<String, WaitingRetry>,
    pub dead_letters: HashMap<String, DeadLetterFacts>,
    /// The only endpoint that receives it.
    pub only_for: Option<String>,
    /// The endpoint that it is about, which does not receive it.
    pub not_for: Option<String>,
}

impl PresentState {
    /// The last event that an endpoint's consumer is done with; none if there is no consumer.
    pub async fn acknowledged_floor(&self, app: &AppState, endpoint: &EndpointId) -> Option<u64> {
        let stream = app.broker.jetstream.get_stream_no_info(EVENTS).await.ok()?;
        Some(stream.consumer_info(endpoint.consumer_name()).await.ok()?.ack_floor.stream_sequence)
    }
}

/// # Errors
/// If NATS is away.
pub async fn read_present_state(app: &AppState, event: &EventSummary) -> Result<PresentState, ApiError> {
    if !app.broker.is_connected() {
        return Err(ApiError::broker_unavailable());
    }
    tokio::time::timeout(WITHIN, read(app, event)).await.map_err(|_| ApiError::broker_unavailable())?
}

async fn read(app: &AppState, event: &EventSummary) -> Result<PresentState, ApiError> {
    let mut present = PresentState::default();
    let open = |name| async move {
        app.broker.jetstream.get_stream_no_info(name).await.map_err(|_| ApiError::broker_unavailable())
    };
    if let Ok(message) = open(EVENTS).await?.direct_get(event.sequence).await {
        let value = |name| message.headers.get(name).map(|value| value.as_str().to_owned());
        (present.only_for, present.not_for) = (value(header::ONLY_FOR), value(header::NOT_FOR));
    }
    for message in all(&open(RETRIES).await?, &subject::retries_of_event(event.sequence)).await? {
        let (Some(endpoint), Some(parsed)) =
            (subject::endpoint_of_retry(&message.subject), subject::parse_retry(&message.subject))
        else {
            continue;
        };
        let value = |name| message.headers.get(name).map(|value| value.as_str());
        let until = value(header::SCHEDULE).and_then(|at| at.strip_prefix("@at ")).or_else(|| value(header::DUE));
        let retry = WaitingRetry {
            state: parsed.state.to_owned(),
            until: until.map(str::to_owned),
            attempt: value(header::ATTEMPT).map(str::to_owned),
        };
        present.retries.insert(endpoint.as_str().to_owned(), retry);
    }
    let letters = subject::dead_letters_of_event(&EventId::from_header(&event.id));
    for message in all(&open(DEAD_LETTERS).await?, &letters).await? {
        let Ok(letter) = serde_json::from_slice::<DeadLetter>(&message.payload) else { continue };
        let facts = DeadLetterFacts { id: message.sequence, reason: letter.reason, at: letter.at };
        present.dead_letters.insert(letter.endpoint.as_str().to_owned(), facts);
    }
    Ok(present)
}

/// The messages that a filter matches.
async fn all(stream: &Stream<()>, filter: &str) -> Result<Vec<StreamMessage>, ApiError> {
    let (mut found, mut next) = (Vec::new(), 1);
    while found.len() < MOST {
        match stream.direct_get_next_for_subject(filter, Some(next)).await {
            Ok(message) => {
                next = message.sequence + 1;
                found.push(message);
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => break,
            Err(error) => {
                tracing::warn!("failed to read the present of an event: {error}");
                return Err(ApiError::broker_unavailable());
            }
        }
    }
    Ok(found)
}

//! `POST send-poll`: a question and its options.

use super::send::{SendResult, send};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{Field, FieldError, FieldErrors, FieldValue, Recipient, SendAt, inline_schema},
};
use axum::extract::State;
use kurir_contract::command::{SendPoll, spec};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;

/// What the apps let one write.
const LONGEST_NAME: usize = 255;
const LONGEST_OPTION: usize = 100;
/// WhatsApp's own bounds.
const FEWEST_OPTIONS: usize = 2;
const MOST_OPTIONS: usize = 12;

/// A poll and where it goes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendPollRequest {
    to: Field<Recipient>,
    name: Field<PollQuestion>,
    options: Field<PollOptions>,
    /// How many options one may choose; 0 is any number.
    selectable: Option<Field<OptionCount>>,
    /// When the poll is to be sent: at most 30 days ahead.
    send_at: Option<Field<SendAt>>,
}

struct PollQuestion(String);

struct PollOptions(Vec<String>);

struct OptionCount(u32);

pub async fn send_poll(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendPollRequest>,
) -> SendResult {
    let mut errors = FieldErrors::new(ErrorCode::InvalidPoll);
    let to = errors.take("to", body.to);
    let name = errors.take("name", body.name);
    let options = errors.take("options", body.options);
    let selectable = errors.take_optional("selectable", body.selectable).map_or(1, |OptionCount(count)| count);
    let at = errors.take_optional("sendAt", body.send_at).map(|SendAt(at)| at);
    if options.as_ref().is_some_and(|PollOptions(options)| selectable as usize > options.len()) {
        errors.add("selectable", OptionCount::invalid());
    }
    let poll = errors.finish(|| {
        let (Recipient(to), PollQuestion(name), PollOptions(options)) = (to?, name?, options?);
        Some(SendPoll { to, name, options, selectable, idempotency_key })
    })?;
    send(app, session, spec::SendPoll, poll.to.clone(), poll, at).await
}

fn one_line(given: &Value, longest: usize) -> Option<String> {
    let text = given.as_str().map(str::trim)?;
    (1..=longest).contains(&text.chars().count()).then(|| text.to_owned())
}

impl FieldValue for PollQuestion {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let text = "is required: the question, a string of at most 255 characters";
        one_line(given, LONGEST_NAME).map(Self).ok_or_else(|| FieldError::predicate(text))
    }
}

impl FieldValue for PollOptions {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let invalid = || FieldError::predicate("must be 2 to 12 different strings of 1 to 100 characters");
        let given = given.as_array().filter(|given| (FEWEST_OPTIONS..=MOST_OPTIONS).contains(&given.len()));
        let options = given.ok_or_else(invalid)?.iter().map(|option| one_line(option, LONGEST_OPTION));
        let options: Vec<String> = options.collect::<Option<_>>().ok_or_else(invalid)?;
        // A vote tells options apart by their names alone.
        let different: HashSet<&String> = options.iter().collect();
        if different.len() == options.len() { Ok(Self(options)) } else { Err(invalid()) }
    }
}

impl OptionCount {
    fn invalid() -> FieldError {
        FieldError::predicate("must be 0 (any number of options) or at most the number of options")
    }
}

impl FieldValue for OptionCount {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        given.as_u64().and_then(|count| count.try_into().ok()).map(Self).ok_or_else(Self::invalid)
    }
}

inline_schema!(
    PollQuestion,
    |_| json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "description": "The question."})
);
inline_schema!(PollOptions, |_| json_schema!({
    "type": "array", "minItems": FEWEST_OPTIONS, "maxItems": MOST_OPTIONS, "uniqueItems": true,
    "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_OPTION},
}));
inline_schema!(OptionCount, |_| json_schema!({"type": "integer", "minimum": 0, "maximum": MOST_OPTIONS, "default": 1}));

//! `POST send-poll`: a question and its options.

use super::{
    send::{SendResult, send_request},
    send_request::{RequestedSend, SendRequest},
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{Field, FieldError, FieldErrors, FieldValue, Recipient, SendAt, inline_schema},
    response::ApiError,
};
use axum::extract::State;
use kurir_contract::command::{IdempotencyKey, SendPoll, spec};
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

impl SendRequest for SendPollRequest {
    type Command = spec::SendPoll;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendPoll>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidPoll);
        let to = errors.take("to", self.to);
        let name = errors.take("name", self.name);
        let options = errors.take("options", self.options);
        let selectable = errors.take_optional("selectable", self.selectable).map_or(1, |OptionCount(count)| count);
        let at = errors.take_optional("sendAt", self.send_at).map(|SendAt(at)| at);
        if options.as_ref().is_some_and(|PollOptions(options)| selectable as usize > options.len()) {
            errors.add("selectable", OptionCount::invalid());
        }
        let message = errors.finish(|| {
            let (Recipient(to), PollQuestion(name), PollOptions(options)) = (to?, name?, options?);
            Some(SendPoll { to, name, options, selectable, idempotency_key })
        })?;
        Ok(RequestedSend { to: message.to.clone(), message, at })
    }
}

pub async fn send_poll(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendPollRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
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
        given
            .as_u64()
            .or_else(|| given.as_str()?.trim().parse().ok())
            .and_then(|count| count.try_into().ok())
            .map(Self)
            .ok_or_else(Self::invalid)
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

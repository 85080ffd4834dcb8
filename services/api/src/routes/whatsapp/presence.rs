//! `POST mark-read`, `typing`, `presence`, `subscribe-presence`: signs of life. They are no sends: WhatsApp confirms none.

use super::{gateway_request::ask_gateway, message_actions::participant_missing};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, SessionPath},
    fields::{
        Field, FieldError, FieldErrors, FieldValue, MessageReference, Participant, Person, Recipient, inline_schema,
    },
    response::{JsonResult, MessageResponse, message_response},
};
use axum::extract::State;
use kurir_contract::command::{
    EmptyBody, MarkRead, OwnPresence, SetPresence, ShowTyping, SubscribePresence, TypingState, spec,
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// As many as an app shows at once.
const MOST_MESSAGES: usize = 100;

/// Messages of one writer that were read.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkReadRequest {
    /// The chat that the messages are in.
    to: Field<Recipient>,
    message_ids: Field<MessageIdList>,
    /// Who wrote the messages: required in a group.
    participant: Option<Field<Participant>>,
}

struct MessageIdList(Vec<MessageReference>);

pub async fn mark_read(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<MarkReadRequest>,
) -> JsonResult<MessageResponse> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidMessageId);
    let to = errors.take("to", body.to);
    let message_ids = errors.take("messageIds", body.message_ids);
    let has_participant = body.participant.is_some();
    let participant = errors.take_optional("participant", body.participant).map(|Participant(writer)| writer);
    let named = message_ids.as_ref().map(|MessageIdList(named)| named.as_slice()).unwrap_or_default();
    let participant = participant.or_else(|| named.iter().find_map(|named| named.participant.clone()));
    if named.iter().any(|named| named.participant.is_some() && named.participant != participant) {
        let text = "must be messages of one writer";
        errors.add("messageIds", FieldError::predicate(text));
    }
    if let Some(Recipient(to)) = &to {
        if to.is_group() && !has_participant && participant.is_none() {
            errors.add("participant", participant_missing());
        }
        if let Some(elsewhere) = named.iter().find(|named| !named.may_be_in(to)) {
            errors.add("messageIds", elsewhere.elsewhere());
        }
    }
    let read = errors.finish(|| {
        let (Recipient(to), MessageIdList(named)) = (to?, message_ids?);
        let message_ids = named.into_iter().map(|named| named.id).collect();
        Some(MarkRead { to, message_ids, participant })
    })?;
    let EmptyBody {} = ask_gateway(&app, &session, spec::MarkRead, &read).await?;
    Ok(message_response("Messages marked as read"))
}

/// What the account does in a chat.
#[derive(Deserialize, JsonSchema)]
pub struct TypingRequest {
    to: Field<Recipient>,
    state: Field<TypingStateField>,
}

struct TypingStateField(TypingState);

pub async fn typing(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<TypingRequest>,
) -> JsonResult<MessageResponse> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidState);
    let (to, state) = (errors.take("to", body.to), errors.take("state", body.state));
    let typing = errors.finish(|| {
        let (Recipient(to), TypingStateField(state)) = (to?, state?);
        Some(ShowTyping { to, state })
    })?;
    let EmptyBody {} = ask_gateway(&app, &session, spec::ShowTyping, &typing).await?;
    Ok(message_response("Typing shown"))
}

/// Whether the account is shown as online.
#[derive(Deserialize, JsonSchema)]
pub struct PresenceRequest {
    state: Field<PresenceStateField>,
}

struct PresenceStateField(OwnPresence);

pub async fn presence(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<PresenceRequest>,
) -> JsonResult<MessageResponse> {
    let PresenceStateField(state) = body.state.checked("state", ErrorCode::InvalidState)?;
    let EmptyBody {} = ask_gateway(&app, &session, spec::SetPresence, &SetPresence { state }).await?;
    Ok(message_response("Presence shown"))
}

/// Whose presence the account wants to hear of.
#[derive(Deserialize, JsonSchema)]
pub struct SubscribePresenceRequest {
    to: Field<Person>,
}

pub async fn subscribe_presence(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<SubscribePresenceRequest>,
) -> JsonResult<MessageResponse> {
    let Person(to) = body.to.checked("to", ErrorCode::InvalidRecipient)?;
    let EmptyBody {} = ask_gateway(&app, &session, spec::SubscribePresence, &SubscribePresence { to }).await?;
    Ok(message_response("Presence subscribed"))
}

impl FieldValue for MessageIdList {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let ids = given.as_array().filter(|ids| (1..=MOST_MESSAGES).contains(&ids.len()));
        let ids = ids.and_then(|ids| ids.iter().map(MessageReference::from_json).collect::<Option<_>>());
        ids.map(Self).ok_or_else(|| {
            FieldError::coded_predicate(ErrorCode::InvalidMessageId, "must be a list of 1 to 100 message ids")
        })
    }
}

impl FieldValue for TypingStateField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let state = serde_json::from_value(given.clone()).map(Self);
        state.map_err(|_| FieldError::predicate("must be composing, recording or paused"))
    }
}

impl FieldValue for PresenceStateField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let state = serde_json::from_value(given.clone()).map(Self);
        state.map_err(|_| FieldError::predicate("must be available or unavailable"))
    }
}

inline_schema!(
    MessageIdList,
    |generator| json_schema!({"type": "array", "minItems": 1, "maxItems": MOST_MESSAGES, "items": MessageReference::json_schema(generator)})
);
inline_schema!(TypingStateField, |_| json_schema!({"type": "string", "enum": ["composing", "recording", "paused"]}));
inline_schema!(PresenceStateField, |_| json_schema!({"type": "string", "enum": ["available", "unavailable"]}));

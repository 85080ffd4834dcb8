//! `POST send-reaction`, `edit-message`, `revoke-message`: what is done to a message that is there.

use super::send::{SendResult, send};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{
        Field, FieldError, FieldErrors, FieldValue, MessageId, MessageText, Participant, Recipient, SendOptions,
        inline_schema, options_or_default,
    },
};
use axum::extract::State;
use kurir_contract::command::{SendEdit, SendReaction, SendRevoke, spec};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// The longest emoji (a family, a flag of a region) has some ten code points.
const LONGEST_EMOJI: usize = 32;

/// A reaction to a message.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendReactionRequest {
    /// The chat that the message is in.
    to: Field<Recipient>,
    message_id: Field<MessageId>,
    emoji: Field<Emoji>,
    /// Whether this account wrote the message.
    from_me: Option<Field<WrittenByAccount>>,
    /// Who wrote the message: required in a group, unless this account did.
    participant: Option<Field<Participant>>,
    options: Option<Field<SendOptions>>,
}

struct Emoji(String);

struct WrittenByAccount(bool);

pub async fn send_reaction(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendReactionRequest>,
) -> SendResult {
    let mut errors = FieldErrors::new(ErrorCode::InvalidReaction);
    let to = errors.take("to", body.to);
    let message_id = errors.take("messageId", body.message_id);
    let emoji = errors.take("emoji", body.emoji);
    let from_me = errors.take_optional("fromMe", body.from_me).is_some_and(|WrittenByAccount(from_me)| from_me);
    let has_participant = body.participant.is_some();
    let participant = errors.take_optional("participant", body.participant).map(|Participant(writer)| writer);
    if to.as_ref().is_some_and(|Recipient(to)| to.is_group()) && !from_me && !has_participant {
        errors.add("participant", participant_missing());
    }
    let reaction = errors.finish(|| {
        let (Recipient(to), MessageId(message_id), Emoji(emoji)) = (to?, message_id?, emoji?);
        Some(SendReaction { to, message_id, emoji, from_me, participant, idempotency_key })
    })?;
    let at = options_or_default(body.options)?.send_at()?;
    send(app, session, spec::SendReaction, reaction.to.clone(), reaction, at).await
}

/// Another text for a message of this account.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditMessageRequest {
    /// The chat that the message is in.
    to: Field<Recipient>,
    message_id: Field<MessageId>,
    message: Field<MessageText>,
    options: Option<Field<SendOptions>>,
}

pub async fn edit_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonBody(body): JsonBody<EditMessageRequest>,
) -> SendResult {
    let mut errors = FieldErrors::new(ErrorCode::InvalidMessageId);
    let to = errors.take("to", body.to);
    let message_id = errors.take("messageId", body.message_id);
    let text = errors.take("message", body.message);
    let edit = errors.finish(|| {
        let (Recipient(to), MessageId(message_id), MessageText(text)) = (to?, message_id?, text?);
        Some(SendEdit { to, message_id, text, idempotency_key })
    })?;
    let at = options_or_default(body.options)?.send_at()?;
    send(app, session, spec::SendEdit, edit.to.clone(), edit, at).await
}

/// A message that is deleted for everyone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeMessageRequest {
    /// The chat that the message is in.
    to: Field<Recipient>,
    message_id: Field<MessageId>,
    /// Who wrote the message, if an administrator of the group deletes what another wrote.
    participant: Option<Field<Participant>>,
    options: Option<Field<SendOptions>>,
}

pub async fn revoke_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonBody(body): JsonBody<RevokeMessageRequest>,
) -> SendResult {
    let mut errors = FieldErrors::new(ErrorCode::InvalidMessageId);
    let to = errors.take("to", body.to);
    let message_id = errors.take("messageId", body.message_id);
    let participant = errors.take_optional("participant", body.participant).map(|Participant(writer)| writer);
    if participant.is_some() && to.as_ref().is_some_and(|Recipient(to)| !to.is_group()) {
        let text = "is for groups, whose administrators may delete what another wrote";
        errors.add("participant", FieldError::coded_predicate(ErrorCode::InvalidParticipant, text));
    }
    let revoke = errors.finish(|| {
        let (Recipient(to), MessageId(message_id)) = (to?, message_id?);
        Some(SendRevoke { to, message_id, participant, idempotency_key })
    })?;
    let at = options_or_default(body.options)?.send_at()?;
    send(app, session, spec::SendRevoke, revoke.to.clone(), revoke, at).await
}

/// The error of a message in a group whose writer is not named.
pub fn participant_missing() -> FieldError {
    let text = "is required in a group: who wrote the message";
    FieldError::coded_predicate(ErrorCode::InvalidParticipant, text)
}

impl FieldValue for Emoji {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let emoji = given.as_str().map(str::trim).filter(|emoji| emoji.chars().count() <= LONGEST_EMOJI);
        emoji
            .map(|emoji| Self(emoji.to_owned()))
            .ok_or_else(|| FieldError::predicate("must be one emoji, or \"\" to take the reaction back"))
    }
}

impl FieldValue for WrittenByAccount {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let text = "must be true or false: whether this account wrote the message";
        given.as_bool().map(Self).ok_or_else(|| FieldError::predicate(text))
    }
}

inline_schema!(
    Emoji,
    |_| json_schema!({"type": "string", "maxLength": LONGEST_EMOJI, "examples": ["👍"], "description": "One emoji; empty takes the reaction back."})
);
inline_schema!(WrittenByAccount, |_| json_schema!({"type": "boolean"}));

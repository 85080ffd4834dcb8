//! `POST send-reaction`, `edit-message`, `revoke-message`: what is done to a message that is there.

use super::{
    send::{SendResult, send_request},
    send_request::{RequestedSend, SendRequest},
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{
        Field, FieldError, FieldErrors, FieldValue, Flag, MessageReference, MessageText, Participant, Recipient,
        SendOptions, inline_schema, options_or_default,
    },
    response::ApiError,
};
use axum::extract::State;
use kurir_contract::command::{IdempotencyKey, SendEdit, SendReaction, SendRevoke, spec};
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
    message_id: Field<MessageReference>,
    emoji: Field<Emoji>,
    /// Whether this account wrote the message.
    from_me: Option<Field<WrittenByAccount>>,
    /// Who wrote the message: required in a group, unless this account did.
    participant: Option<Field<Participant>>,
    options: Option<Field<SendOptions>>,
}

struct Emoji(String);

struct WrittenByAccount(bool);

impl SendRequest for SendReactionRequest {
    type Command = spec::SendReaction;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendReaction>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidReaction);
        let to = errors.take("to", self.to);
        let named = errors.take("messageId", self.message_id);
        let emoji = errors.take("emoji", self.emoji);
        let from_me = errors.take_optional("fromMe", self.from_me).map(|WrittenByAccount(from_me)| from_me);
        let from_me = from_me.or(named.as_ref().and_then(|named| named.from_me)).unwrap_or(false);
        let has_participant = self.participant.is_some();
        let participant = errors.take_optional("participant", self.participant).map(|Participant(writer)| writer);
        let participant = participant.or_else(|| named.as_ref()?.participant.clone()).filter(|_| !from_me);
        let is_group = to.as_ref().is_some_and(|Recipient(to)| to.is_group());
        if is_group && !from_me && !has_participant && participant.is_none() {
            errors.add("participant", participant_missing());
        }
        check_chat(&mut errors, to.as_ref(), named.as_ref());
        let message = errors.finish(|| {
            let (Recipient(to), Emoji(emoji)) = (to?, emoji?);
            Some(SendReaction { to, message_id: named?.id, emoji, from_me, participant, idempotency_key })
        })?;
        let at = options_or_default(self.options)?.send_at()?;
        Ok(RequestedSend { to: message.to.clone(), message, at })
    }

    fn refers_to(message: &SendReaction) -> Option<&str> {
        Some(&message.message_id)
    }
}

pub async fn send_reaction(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendReactionRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
}

/// Another text for a message of this account.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditMessageRequest {
    /// The chat that the message is in.
    to: Field<Recipient>,
    message_id: Field<MessageReference>,
    message: Field<MessageText>,
    options: Option<Field<SendOptions>>,
}

impl SendRequest for EditMessageRequest {
    type Command = spec::SendEdit;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendEdit>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidMessageId);
        let to = errors.take("to", self.to);
        let named = errors.take("messageId", self.message_id);
        let text = errors.take("message", self.message);
        check_chat(&mut errors, to.as_ref(), named.as_ref());
        if named.as_ref().is_some_and(|named| named.from_me == Some(false)) {
            errors.add("messageId", FieldError::predicate("is the id of a message that this account did not write"));
        }
        let message = errors.finish(|| {
            let (Recipient(to), MessageText(text)) = (to?, text?);
            Some(SendEdit { to, message_id: named?.id, text, idempotency_key })
        })?;
        let at = options_or_default(self.options)?.send_at()?;
        Ok(RequestedSend { to: message.to.clone(), message, at })
    }

    fn refers_to(message: &SendEdit) -> Option<&str> {
        Some(&message.message_id)
    }
}

pub async fn edit_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<EditMessageRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
}

/// A message that is deleted for everyone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeMessageRequest {
    /// The chat that the message is in.
    to: Field<Recipient>,
    message_id: Field<MessageReference>,
    /// Who wrote the message, if an administrator of the group deletes what another wrote.
    participant: Option<Field<Participant>>,
    options: Option<Field<SendOptions>>,
}

impl SendRequest for RevokeMessageRequest {
    type Command = spec::SendRevoke;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendRevoke>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidMessageId);
        let to = errors.take("to", self.to);
        let named = errors.take("messageId", self.message_id);
        let participant = errors.take_optional("participant", self.participant).map(|Participant(writer)| writer);
        let is_group = to.as_ref().is_none_or(|Recipient(to)| to.is_group());
        if participant.is_some() && !is_group {
            let text = "is for groups, whose administrators may delete what another wrote";
            errors.add("participant", FieldError::coded_predicate(ErrorCode::InvalidParticipant, text));
        }
        let is_others = named.as_ref().is_some_and(|named| named.from_me == Some(false));
        if is_others && !is_group {
            errors.add("messageId", FieldError::predicate("is the id of a message that this account did not write"));
        }
        let of_name = named.as_ref().and_then(|named| named.participant.clone()).filter(|_| is_others && is_group);
        let participant = participant.or(of_name);
        check_chat(&mut errors, to.as_ref(), named.as_ref());
        let message = errors.finish(|| {
            let Recipient(to) = to?;
            Some(SendRevoke { to, message_id: named?.id, participant, idempotency_key })
        })?;
        let at = options_or_default(self.options)?.send_at()?;
        Ok(RequestedSend { to: message.to.clone(), message, at })
    }

    fn refers_to(message: &SendRevoke) -> Option<&str> {
        Some(&message.message_id)
    }
}

pub async fn revoke_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<RevokeMessageRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
}

/// Refuses a message whose own name says that it is in another chat.
fn check_chat(errors: &mut FieldErrors, to: Option<&Recipient>, named: Option<&MessageReference>) {
    if let (Some(Recipient(to)), Some(named)) = (to, named)
        && !named.may_be_in(to)
    {
        errors.add("messageId", named.elsewhere());
    }
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
        Flag::parse(given).map(|Flag(from_me)| Self(from_me)).map_err(|_| FieldError::predicate(text))
    }
}

inline_schema!(
    Emoji,
    |_| json_schema!({"type": "string", "maxLength": LONGEST_EMOJI, "examples": ["👍"], "description": "One emoji; empty takes the reaction back."})
);
inline_schema!(WrittenByAccount, |_| json_schema!({"type": "boolean"}));

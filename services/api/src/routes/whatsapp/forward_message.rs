//! `POST forward-message`: sends on what was said elsewhere. The caller has it: the `data` of its event. A file is sent
//! from where it is kept.

use super::{
    send::{SendResult, send},
    send_request::{RequestedSend, SendRequest},
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{Field, FieldError, FieldErrors, FieldValue, MessageText, Recipient, SendOptions, options_or_default},
    response::ApiError,
};
use axum::extract::State;
use kurir_contract::command::{ForwardedContent, ForwardedMedia, IdempotencyKey, SendForward, spec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

const WRONG: &str = "message must be the data of a message.received or message.sent whose messageType is text, location, \
    contact, image, video, audio, document or sticker";
const NO_FILE: &str = "The file of this message was not downloaded, so it cannot be forwarded (mediaDownloaded is not true); \
    if media.downloaded came later, its content belongs into the message";
const ONCE: &str = "A message that is shown once cannot be forwarded";

/// A message of an event and where it goes.
#[derive(Deserialize, JsonSchema)]
pub struct ForwardMessageRequest {
    to: Field<Recipient>,
    message: Field<ForwardedMessage>,
    options: Option<Field<SendOptions>>,
}

/// The `data` of the message's event.
struct ForwardedMessage {
    content: ForwardedContent,
    media: Option<ForwardedMedia>,
    forwarding_score: u32,
    is_view_once: bool,
}

impl SendRequest for ForwardMessageRequest {
    type Command = spec::SendForward;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendForward>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidForward);
        let to = errors.take("to", self.to);
        let message = errors.take("message", self.message);
        let (message, is_view_once) = errors.finish(|| {
            let ForwardedMessage { content: message, media, forwarding_score, is_view_once } = message?;
            let Recipient(to) = to?;
            Some((SendForward { to, message, media, forwarding_score, idempotency_key }, is_view_once))
        })?;
        let refused = |text| FieldError::sentence(ErrorCode::InvalidForward, text);
        if message.message.file().is_some() {
            // WhatsApp's apps do not let such a message go on either.
            if is_view_once {
                return Err(refused(ONCE).into_api_error("message", ErrorCode::InvalidForward));
            }
            if message.as_media().is_none() {
                return Err(refused(NO_FILE).into_api_error("message", ErrorCode::InvalidForward));
            }
        }
        let at = options_or_default(self.options)?.send_at()?;
        Ok(RequestedSend { to: message.to.clone(), message, at })
    }
}

pub async fn forward_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<ForwardMessageRequest>,
) -> SendResult {
    let forward = body.read(key)?;
    if let Some(media) = forward.message.as_media() {
        // A file that is no longer kept is an error of this request, not of the send.
        app.uploads.received(&media.file.object).await?;
    }
    send(app, session, spec::SendForward, forward).await
}

impl FieldValue for ForwardedMessage {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let wrong = || FieldError::sentence(ErrorCode::InvalidForward, WRONG);
        let given = given.as_object().ok_or_else(wrong)?;
        let (kind, content) = (given.get("messageType"), given.get("content"));
        let content = match serde_json::from_value(json!({"messageType": kind, "content": content})) {
            Ok(ForwardedContent::Text { text }) => {
                let MessageText(text) = MessageText::parse(&Value::String(text))?;
                ForwardedContent::Text { text }
            }
            Ok(content) => content,
            Err(_) => return Err(wrong()),
        };
        let media = content.file().and(given.get("media"));
        let media = media.map(|media| serde_json::from_value(media.clone())).transpose().map_err(|_| wrong())?;
        let score = given.get("forwardingScore").and_then(Value::as_u64).unwrap_or_default();
        let is_view_once = given.get("viewOnce") == Some(&Value::Bool(true));
        let forwarding_score = u32::try_from(score).unwrap_or(u32::MAX);
        Ok(Self { content, media: media.flatten(), forwarding_score, is_view_once })
    }
}

impl JsonSchema for ForwardedMessage {
    fn schema_name() -> Cow<'static, str> {
        "ForwardedMessage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "The data of a message.received or message.sent, as it is.",
            "properties": {
                "messageType": {"type": "string", "enum": ["text", "location", "contact", "image", "video", "audio", "document", "sticker"]},
                "content": {"type": "object"},
                "media": {"type": ["object", "null"]},
                "forwardingScore": {"type": "integer", "minimum": 0},
                "viewOnce": {"type": "boolean"},
            },
            "required": ["messageType", "content"],
            "examples": [{"messageType": "text", "content": {"text": "Hello"}}],
        })
    }
}

//! A text as `send-message`, `send-bulk` and jobs take it.

use super::send_request::{RequestedSend, SendRequest};
use crate::{
    error_code::ErrorCode,
    extract::{UnknownFields, parse_fields},
    fields::{Field, MessageText, Quoted, Recipient, SendOptions, options_or_default},
    link_preview,
    response::ApiError,
};
use kurir_contract::command::{IdempotencyKey, PagePreview, Quote, SendText, spec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

/// A text and where it goes.
#[derive(Deserialize, JsonSchema)]
pub struct SendMessageRequest {
    to: Field<Recipient>,
    message: Field<MessageText>,
    options: Option<Field<SendOptions>>,
}

impl SendRequest for SendMessageRequest {
    type Command = spec::SendText;

    /// Checked in the contract's order, with its text for the first wrong field.
    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendText>, ApiError> {
        let Recipient(to) = self.to.checked("to", ErrorCode::InvalidRecipient)?;
        let MessageText(text) = self.message.checked("message", ErrorCode::MissingMessage)?;
        let mut options = options_or_default(self.options)?;
        let quoted = options.quoted()?;
        let (mentions, mention_all) = options.mentions()?;
        if mention_all && !to.is_group() {
            let text = "options.mentions of all are for groups";
            return Err(ApiError::new(ErrorCode::InvalidMentions, text));
        }
        let link_preview = if options.has_link_preview()? { link_preview::requested(&text) } else { None };
        let at = options.send_at()?;
        let quote = quoted.as_ref().and_then(Quoted::quote).filter(|quote| quote.from_me || quote.content.is_some());
        let (quoted, quoted_participant) =
            quoted.map(|Quoted { reference, .. }| (reference.id, reference.participant)).unzip();
        let message = SendText {
            to: to.clone(),
            text,
            quoted,
            quoted_participant: quoted_participant.flatten(),
            quote,
            mentions,
            mention_all,
            link_preview,
            idempotency_key,
        };
        Ok(RequestedSend { to, message, at })
    }

    const REQUIRES_QUOTED: bool = false;

    fn quoting(message: &mut SendText) -> Option<(&str, &mut Option<Quote>)> {
        Some((message.quoted.as_deref()?, &mut message.quote))
    }

    fn link_preview(message: &mut SendText) -> Option<&mut Option<Box<PagePreview>>> {
        Some(&mut message.link_preview)
    }
}

/// One of several messages: as its caller named the recipient, and as it goes to the gateway.
pub struct BulkItem {
    pub to: Value,
    pub message: SendText,
    /// When it is to be sent; at its turn if it is missing.
    pub at: Option<OffsetDateTime>,
}

/// Reads the message at `index` of a list.
///
/// # Errors
/// With the contract's text; `problems` names the message.
pub fn read_bulk_item(index: usize, message: &Value, unknown: UnknownFields) -> Result<BulkItem, ApiError> {
    let missing = || {
        let text = format!("Message at index {index} is missing required fields: to, message");
        ApiError::new(ErrorCode::IncompleteMessage, text)
    };
    let fields = message.as_object().ok_or_else(missing)?;
    let (to, text) = (fields.get("to"), fields.get("message"));
    let to = to.filter(|to| is_given(to)).ok_or_else(missing)?;
    text.filter(|text| is_given(text)).ok_or_else(missing)?;
    let read = || {
        let request: SendMessageRequest = parse_fields(fields.clone(), unknown)?;
        request.read(None)
    };
    let RequestedSend { message, at, .. } = read().map_err(|error| error.within(&format!("messages[{index}].")))?;
    Ok(BulkItem { to: to.clone(), message, at })
}

/// What JavaScript takes for something.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

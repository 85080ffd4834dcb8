//! A text as `send-message`, `send-bulk` and jobs take it.

use crate::{
    error_code::ErrorCode,
    fields::{Field, MessageText, Recipient, SendOptions, options_or_default},
    response::ApiError,
};
use kurir_contract::command::SendText;
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

impl SendMessageRequest {
    /// The command, and the time to send it at; checked in the contract's order.
    ///
    /// # Errors
    /// With the contract's text for the first wrong field.
    pub fn read(self) -> Result<(SendText, Option<OffsetDateTime>), ApiError> {
        let (message, mut options) = self.read_message()?;
        Ok((message, options.send_at()?))
    }

    fn read_message(self) -> Result<(SendText, SendOptions), ApiError> {
        let Recipient(to) = self.to.checked("to", ErrorCode::InvalidRecipient)?;
        let MessageText(text) = self.message.checked("message", ErrorCode::MissingMessage)?;
        let mut options = options_or_default(self.options)?;
        let quoted = options.quoted()?;
        let (quoted_participant, mentions) = (options.quoted_participant()?, options.mentions()?);
        let message = SendText { to, text, quoted, quoted_participant, mentions, idempotency_key: None };
        Ok((message, options))
    }
}

/// One of several messages: as its caller named the recipient, and as it goes to the gateway.
pub struct BulkItem {
    pub to: Value,
    pub message: SendText,
}

/// Reads the message at `index` of a list.
///
/// # Errors
/// With the contract's text.
pub fn read_bulk_item(index: usize, message: &Value) -> Result<BulkItem, ApiError> {
    let missing = || {
        let text = format!("Message at index {index} is missing required fields: to, message");
        ApiError::new(ErrorCode::IncompleteMessage, text)
    };
    let fields = message.as_object().ok_or_else(missing)?;
    let (to, text) = (fields.get("to"), fields.get("message"));
    let to = to.filter(|to| is_given(to)).ok_or_else(missing)?;
    text.filter(|text| is_given(text)).ok_or_else(missing)?;
    let request: SendMessageRequest = serde_json::from_value(message.clone()).map_err(|_| missing())?;
    // The messages of a list go out in its order; a time of one of them is not looked at.
    let (message, _) = request.read_message()?;
    Ok(BulkItem { to: to.clone(), message })
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

//! Texts, flags and times.

use super::{FieldError, FieldValue};
use crate::error_code::ErrorCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// In UTF-16 code units, as JavaScript's `length` counts: an emoji is two.
const MAX_MESSAGE: usize = 4096;

/// A string of `MIN` to `MAX` characters, trimmed.
pub struct Text<const MIN: usize, const MAX: usize>(pub String);

/// `true` or `false`.
pub struct Flag(pub bool);

/// The text of a message, trimmed.
pub struct MessageText(pub String);

/// A time with its offset.
pub struct Timestamp(pub OffsetDateTime);

impl<const MIN: usize, const MAX: usize> FieldValue for Text<MIN, MAX> {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let text = given.as_str().map(str::trim).filter(|text| (MIN..=MAX).contains(&text.chars().count()));
        text.map(|text| Self(text.to_owned())).ok_or_else(|| {
            FieldError::predicate(match MIN {
                0 => format!("must be a string of at most {MAX} characters"),
                _ => format!("must be a string of {MIN} to {MAX} characters"),
            })
        })
    }
}

impl FieldValue for Flag {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        // A form has only texts.
        let flag = given.as_bool().or_else(|| given.as_str().and_then(|flag| flag.trim().parse().ok()));
        flag.map(Self).ok_or_else(|| FieldError::predicate("must be true or false"))
    }
}

impl FieldValue for MessageText {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let text = given.as_str().map(str::trim).filter(|text| !text.is_empty()).ok_or_else(|| {
            FieldError::sentence(ErrorCode::MissingMessage, "Message is required and must be a string")
        })?;
        if text.encode_utf16().count() > MAX_MESSAGE {
            let error = "Message is too long (max 4096 characters)";
            return Err(FieldError::sentence(ErrorCode::MessageTooLong, error));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FieldValue for Timestamp {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let time = OffsetDateTime::parse(given.as_str().unwrap_or_default(), &Rfc3339);
        time.map(Self).map_err(|_| FieldError::predicate("must be a time in ISO 8601, as 2026-11-24T13:00:00Z"))
    }
}

impl<const MIN: usize, const MAX: usize> JsonSchema for Text<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": MIN, "maxLength": MAX})
    }
}

inline_schema!(Flag, |_| json_schema!({"type": "boolean"}));
inline_schema!(MessageText, |_| json_schema!({
    "type": "string", "minLength": 1, "maxLength": MAX_MESSAGE, "examples": ["Hello"],
    "description": "The text, 1 to 4096 characters after trimming, as JavaScript counts them (an emoji is two).",
}));
inline_schema!(Timestamp, |_| json_schema!({
    "type": "string", "format": "date-time", "examples": ["2026-11-24T13:00:00Z"],
    "description": "A time in ISO 8601 with its offset.",
}));

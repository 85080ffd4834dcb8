//! What a body says, as a JSON object: from JSON or from a form, in the ways that the old program took it. Pure.
//!
//! `nested_fields` reads the names of a form's fields; `json_body` and the uploads are the callers.

#[cfg(test)]
mod fuzz;
mod nested_fields;
mod text;

pub use nested_fields::{insert_field, read_urlencoded};

use crate::{error_code::ErrorCode, response::ApiError};
use axum::http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::{Map, Value};
use text::{decode_text, mend_surrogates};

/// What is read as JSON besides `application/json` and `…+json`; a form only if it is none.
const READ_AS_JSON: [&str; 3] = ["text/plain", FORM, "application/octet-stream"];
const FORM: &str = "application/x-www-form-urlencoded";

/// Reads the fields of a body.
///
/// # Errors
/// If it is neither a JSON object nor a form.
pub fn read_fields(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, charset) = read_content_type(content_type);
    let is_json = essence.ends_with("/json") || essence.ends_with("+json");
    if !(essence.is_empty() || is_json || READ_AS_JSON.contains(&essence.as_str())) {
        let text = "The body must be JSON: send it with Content-Type: application/json";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, text));
    }
    let text = decode_text(body, charset.as_deref()).ok_or_else(|| {
        let text = "The body must be text in UTF-8, UTF-16 or ISO-8859-1, as charset in Content-Type says";
        ApiError::new(ErrorCode::UnsupportedMediaType, text)
    })?;
    // `curl -d '{…}'` calls its JSON a form.
    if essence == FORM && !text.trim_start().starts_with(['{', '[']) {
        return read_urlencoded(&text);
    }
    parse_object(&text)
}

/// The type without its parameters, and the parameter `charset`, both in lower case.
fn read_content_type(content_type: &str) -> (String, Option<String>) {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    (essence, charset)
}

fn parse_object(text: &str) -> Result<Map<String, Value>, ApiError> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let read = match serde_json::from_str(text) {
        // A text that was cut inside an emoji; JavaScript reads it all the same.
        Err(_) if text.contains("\\u") => serde_json::from_str(&mend_surrogates(text)),
        read => read,
    };
    match read {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(ApiError::new(ErrorCode::InvalidJson, "Request body must be a JSON object"))
        }
        Err(problem) => {
            let (line, column) = (problem.line(), problem.column());
            let text = format!("Request body is not valid JSON (line {line}, column {column})");
            Err(ApiError::new(ErrorCode::InvalidJson, text))
        }
    }
}

#[cfg(test)]
mod tests;

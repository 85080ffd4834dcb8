//! Comparing JSON with an expectation in which some values stand for any value of their kind.
//!
//! `<text>` (not empty), `<number>`, `<boolean>`, `<object>`, `<ISO>`, `<milliseconds>`, `<URL>` and `<n MB>` are such
//! values. An object may have more fields than expected; a list has exactly the expected entries.

use serde_json::Value;

/// Fails unless `seen` matches; `subject` says what it is.
#[track_caller]
pub fn assert_json_matches(expected: &Value, seen: &Value, subject: &str) {
    if let Err(mismatch) = match_json(expected, seen) {
        panic!("{subject}: {mismatch}\n  expected {expected}\n  seen     {seen}");
    }
}

/// Compares `seen` with the expectation.
///
/// # Errors
/// The first mismatch, with the path of its field.
pub fn match_json(expected: &Value, seen: &Value) -> Result<(), String> {
    let require = |matches: bool| if matches { Ok(()) } else { Err(format!("{seen} is not {expected}")) };
    match expected {
        Value::String(kind) if kind.starts_with('<') => require(is_of_kind(kind, seen)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, expected)| {
            let field = seen.get(name).ok_or_else(|| format!("{name} is missing"))?;
            match_json(expected, field).map_err(|mismatch| format!("{name}: {mismatch}"))
        }),
        Value::Array(items) => {
            require(seen.as_array().is_some_and(|seen| seen.len() == items.len()))?;
            items.iter().enumerate().try_for_each(|(at, item)| match_json(item, &seen[at]))
        }
        other => require(other == seen),
    }
}

#[track_caller]
fn is_of_kind(kind: &str, seen: &Value) -> bool {
    let text = seen.as_str().unwrap_or_default();
    match kind {
        "<text>" => !text.is_empty(),
        "<number>" => seen.is_number(),
        "<boolean>" => seen.is_boolean(),
        "<object>" => seen.is_object(),
        "<ISO>" => is_iso_timestamp(text),
        // After 2023, so that seconds do not match.
        "<milliseconds>" => seen.as_i64().is_some_and(|at| at > 1_700_000_000_000),
        "<URL>" => text.starts_with("http://") || text.starts_with("https://"),
        "<n MB>" => text.strip_suffix(" MB").is_some_and(|number| number.parse::<u64>().is_ok()),
        other => panic!("{other} is no kind of value"),
    }
}

/// Whether a text is ISO 8601 in UTC with milliseconds: `2026-11-24T13:27:25.042Z`.
#[must_use]
pub fn is_iso_timestamp(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

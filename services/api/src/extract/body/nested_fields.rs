//! The fields of a form, whose names say where in an object they belong: `options[quoted]`, `messages[0][to]`, `tags[]`.
//! As the library qs of Express reads them.

use crate::{error_code::ErrorCode, response::ApiError};
use serde_json::{Map, Value};
use url::form_urlencoded;

/// As Express bounds them.
const MOST_FIELDS: usize = 1_000;
/// Deeper than anything that a route reads.
const DEEPEST: usize = 5;
/// A list has as many entries at most: a bulk request has 100 messages.
const LONGEST_LIST: usize = 100;

/// Reads `application/x-www-form-urlencoded`.
///
/// # Errors
/// If it has too many fields, or fields that contradict each other.
pub fn read_urlencoded(text: &str) -> Result<Map<String, Value>, ApiError> {
    let mut fields = Map::new();
    for (count, (name, value)) in form_urlencoded::parse(text.trim_end().as_bytes()).enumerate() {
        if count >= MOST_FIELDS {
            return Err(invalid("The form has more than 1000 fields"));
        }
        insert_field(&mut fields, &name, Value::String(value.into_owned()))?;
    }
    Ok(fields)
}

/// Puts a value where its name says. A name that comes twice is a list, as in Express.
///
/// # Errors
/// If another field stands in the way.
pub fn insert_field(fields: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), ApiError> {
    let (first, keys) = split_name(name);
    if keys.len() > DEEPEST {
        return Err(invalid("A field of the form is nested too deeply"));
    }
    match keys.split_first() {
        None => {
            insert_value(fields.entry(first).or_insert(Value::Null), value);
            Ok(())
        }
        Some((key, rest)) => insert_nested(fields.entry(first).or_insert(Value::Null), key, rest, value),
    }
}

/// `a[b][]` is `a`, `b` and an empty key; a name that is written otherwise is one key.
fn split_name(name: &str) -> (&str, Vec<&str>) {
    let whole = (name, Vec::new());
    let Some((first, rest)) = name.split_once('[').filter(|(first, _)| !first.is_empty()) else { return whole };
    let Some(rest) = rest.strip_suffix(']') else { return whole };
    (first, rest.split("][").collect())
}

fn insert_nested(place: &mut Value, key: &str, rest: &[&str], value: Value) -> Result<(), ApiError> {
    let is_index = key.is_empty() || (key.len() <= 3 && key.bytes().all(|b| b.is_ascii_digit()));
    if place.is_null() {
        *place = if is_index { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    }
    let next = match place {
        Value::Array(list) if is_index => {
            let at = key.parse().unwrap_or(list.len());
            if at > list.len() || at >= LONGEST_LIST {
                return Err(invalid("A list of the form has gaps or more than 100 entries"));
            }
            if at == list.len() {
                list.push(Value::Null);
            }
            &mut list[at]
        }
        Value::Object(fields) => fields.entry(key).or_insert(Value::Null),
        _ => return Err(invalid("Two fields of the form contradict each other")),
    };
    match rest.split_first() {
        None => {
            insert_value(next, value);
            Ok(())
        }
        Some((key, rest)) => insert_nested(next, key, rest, value),
    }
}

fn insert_value(place: &mut Value, value: Value) {
    match place {
        Value::Null => *place = value,
        Value::Array(list) => list.push(value),
        first => *first = Value::Array(vec![first.take(), value]),
    }
}

fn invalid(text: &'static str) -> ApiError {
    ApiError::new(ErrorCode::InvalidMultipart, text)
}

//! The values of an endpoint's fields: each function reads one, or says what is wrong as the end of a sentence. Pure.

use crate::{
    address::ChatJid,
    endpoint::{EventPattern, PayloadFormat, SigningSecret, StoredSecret, event_name::read_event_name},
    header,
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, str::FromStr};
use url::Url;

const MAX_URL: usize = 2_048;
const MAX_EVENTS: usize = 20;
/// Each event is compared with all of them.
const MAX_JIDS: usize = 1_000;
const MAX_HEADERS: usize = 32;
/// All headers together: receivers refuse a request whose head is larger than 8 to 16 kB.
const MAX_HEADER_BYTES: usize = 4_096;
const MAX_METADATA: usize = 50;
const MAX_METADATA_VALUE: usize = 500;
const MAX_RATE: f64 = 10_000.0;
/// One request in a hundred seconds.
const MIN_RATE: f64 = 0.01;
/// Headers that Kurir sets, and headers that change how a request is framed.
const RESERVED_HEADERS: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    header::TRACEPARENT,
    "tracestate",
];
/// The beginnings of the headers that Kurir sets: those of Standard Webhooks, of CloudEvents, and its own.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "ce-", "kurir-"];

pub(super) fn url(value: &Value) -> Result<String, String> {
    const RIGHT: &str = "write a whole URL, as https://example.org/webhook";
    let text = text(value, MAX_URL)?;
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URL ({error}): {RIGHT}"))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url.into()),
        "http" | "https" => Err(format!("names no host: {RIGHT}")),
        other => Err(format!("begins with {other}:, only http and https are supported: {RIGHT}")),
    }
}

pub(super) fn text(value: &Value, most: usize) -> Result<String, String> {
    let text = value.as_str().ok_or("must be a string")?;
    match text.chars().count() {
        length if length > most => Err(format!("has {length} characters, at most {most} are possible")),
        _ => Ok(text.to_owned()),
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

pub(super) fn whole(value: &Value, least: u64, most: u64) -> Result<u64, String> {
    value
        .as_u64()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

pub(super) fn rate(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|rate| (MIN_RATE..=MAX_RATE).contains(rate))
        .ok_or_else(|| format!("must be a number from {MIN_RATE} to {MAX_RATE}"))
}

pub(super) fn one_of<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("must be {}", names.join(" or "))
    })
}

pub(super) fn strings(value: &Value, most: usize) -> Result<Vec<&str>, String> {
    let list = value.as_array().ok_or("must be a list of strings")?;
    if list.len() > most {
        return Err(format!("has {} entries, at most {most} are possible", list.len()));
    }
    list.iter().map(|one| one.as_str().ok_or_else(|| "must be a list of strings".to_owned())).collect()
}

pub(super) fn list<T: FromStr<Err: ToString>>(value: &Value, most: usize) -> Result<Vec<T>, String> {
    strings(value, most)?.into_iter().map(|one| one.parse().map_err(|error: T::Err| error.to_string())).collect()
}

pub(super) fn events(value: &Value, format: PayloadFormat) -> Result<Vec<EventPattern>, String> {
    let mut patterns: Vec<EventPattern> = Vec::new();
    for name in strings(value, MAX_EVENTS)? {
        for pattern in read_event_name(name, format)? {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
    }
    Ok(patterns)
}

pub(super) fn jids(value: &Value) -> Result<Vec<ChatJid>, String> {
    let list = value.as_array().ok_or("must be a list of strings")?;
    if list.len() > MAX_JIDS {
        return Err(format!("has {} entries, at most {MAX_JIDS} are possible", list.len()));
    }
    let read = |one: &Value| ChatJid::from_json(one).map_err(|error| format!("{one}: {error}"));
    list.iter().map(read).collect()
}

pub(super) fn secret(value: &Value) -> Result<Vec<StoredSecret>, String> {
    let secret: SigningSecret = value.as_str().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
    Ok(vec![StoredSecret::new(secret)])
}

pub(super) fn statuses(value: &Value) -> Result<Vec<u16>, String> {
    const RIGHT: &str = "must be a list of HTTP statuses from 300 to 599";
    let status = |one: &Value| whole(one, 300, 599).map(|status| status as u16).map_err(|_| RIGHT.to_owned());
    value.as_array().ok_or(RIGHT)?.iter().map(status).collect()
}

pub(super) fn headers(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let fields = entries(value, MAX_HEADERS)?;
    let mut headers = BTreeMap::new();
    for (name, value) in fields {
        let text = value.as_str().ok_or_else(|| format!("{name:?} must be a string"))?;
        let name = name.to_ascii_lowercase();
        let is_token =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            return Err(format!("{name:?} is no name of a header"));
        }
        if RESERVED_HEADERS.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        {
            return Err(format!("{name:?} is set by Kurir itself"));
        }
        if text.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return Err(format!("the value of {name:?} has characters that no header can have"));
        }
        headers.insert(name, text.trim().to_owned());
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(format!("have {bytes} bytes, at most {MAX_HEADER_BYTES} are possible"));
    }
    Ok(headers)
}

pub(super) fn metadata(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    for (name, value) in entries(value, MAX_METADATA)? {
        let value = text(value, MAX_METADATA_VALUE).map_err(|error| format!("{name:?} {error}"))?;
        metadata.insert(name.clone(), value);
    }
    Ok(metadata)
}

pub(super) fn entries(value: &Value, most: usize) -> Result<&Map<String, Value>, String> {
    let fields = value.as_object().ok_or("must be an object of strings")?;
    if fields.len() > most {
        Err(format!("has {} entries, at most {most} are possible", fields.len()))
    } else {
        Ok(fields)
    }
}

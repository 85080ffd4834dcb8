//! Parses the JSON that a user writes for an endpoint, and reports all problems at once.
//!
//! A missing field keeps its value, a null field takes its default, an unknown field is refused: a misspelt filter would let
//! every event pass.

use super::{
    ChatType, ContentFilter, EndpointSettings, EventOrdering, EventPattern, PayloadFormat, RetrySchedule,
    SigningSecret, StoredSecret,
    connection::{parse_client_certificate, parse_proxy, parse_server_name},
    event_name::read_event_name,
};
use crate::{address::ChatJid, event::EventType, header, session::SessionId};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, str::FromStr};
use url::Url;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FieldProblem {
    /// The field's name as in JSON; `filter.chats` for a field of an object.
    pub field: String,
    /// The problem, as the end of the sentence "<field> …".
    pub message: String,
}

const MAX_URL: usize = 2_048;
const MAX_DESCRIPTION: usize = 500;
/// Sessions times patterns are the filters of one NATS consumer.
const MAX_SESSIONS: usize = 20;
const MAX_EVENTS: usize = 20;
/// Each event is compared with all of them.
const MAX_JIDS: usize = 1_000;
const MAX_HEADERS: usize = 32;
/// All headers together: receivers refuse a request whose head is larger than 8 to 16 kB.
const MAX_HEADER_BYTES: usize = 4_096;
const MAX_METADATA: usize = 50;
const MAX_METADATA_VALUE: usize = 500;
const MAX_TIMEOUT_SECONDS: u64 = 60;
const MAX_CONCURRENCY: u64 = 256;
const MAX_RATE: f64 = 10_000.0;
/// One request in a hundred seconds.
const MIN_RATE: f64 = 0.01;
/// Events that this account alone causes.
const OWN: [&EventType; 2] = [&EventType::MESSAGE_SENT, &EventType::MESSAGE_ACK];
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

/// Parses the settings of an endpoint; `before` are those of the endpoint that is changed, none for a new one, which
/// needs a URL.
///
/// # Errors
/// All problems.
pub fn parse_settings(body: &Value, before: Option<&EndpointSettings>) -> Result<EndpointSettings, Vec<FieldProblem>> {
    let mut problems = FieldProblems(Vec::new());
    let Some(fields) = body.as_object() else {
        problems.add("body", "must be a JSON object");
        return Err(problems.0);
    };
    let mut settings = before.cloned().unwrap_or_else(|| EndpointSettings::new(String::new()));
    if before.is_none() && !fields.contains_key("url") {
        problems.add("url", "is required");
    }
    // The names of events depend on the format, which may come behind them.
    let (last, first): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| name.as_str() == "events");
    for (name, value) in first.into_iter().chain(last) {
        problems.apply_field(&mut settings, name, value);
    }
    if problems.0.is_empty() {
        problems.check_together(&settings);
    }
    if problems.0.is_empty() { Ok(settings) } else { Err(problems.0) }
}

struct FieldProblems(Vec<FieldProblem>);

impl FieldProblems {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldProblem { field: field.to_owned(), message: message.into() });
    }

    /// Stores a parsed value, or adds its problem.
    fn take<T>(&mut self, field: &str, to: &mut T, read: Result<T, String>) {
        match read {
            Ok(value) => *to = value,
            Err(message) => self.add(field, message),
        }
    }

    fn apply_field(&mut self, settings: &mut EndpointSettings, name: &str, value: &Value) {
        if value.is_null() && name != "url" {
            return self.reset_field(settings, name);
        }
        match name {
            "url" => self.take(name, &mut settings.url, url(value)),
            "description" => self.take(name, &mut settings.description, text(value, MAX_DESCRIPTION)),
            "enabled" => {
                self.take(name, &mut settings.enabled, boolean(value));
                settings.disabled_reason = None;
            }
            "sessions" => self.take(name, &mut settings.sessions, list::<SessionId>(value, MAX_SESSIONS)),
            "events" => {
                let read = events(value, settings.format);
                self.take(name, &mut settings.events, read);
            }
            "filter" => self.apply_filter(&mut settings.filter, value),
            "headers" => self.take(name, &mut settings.headers, headers(value)),
            "secret" => self.take(name, &mut settings.secrets, secret(value)),
            "retry" => {
                let read = RetrySchedule::try_from(value.clone()).map_err(|error| error.to_string());
                self.take(name, &mut settings.retry, read);
            }
            "retryJitterPercent" => {
                let read = whole(value, 0, 100).map(|percent| percent as u8);
                self.take(name, &mut settings.retry_jitter_percent, read);
            }
            "giveUpOn" => self.take(name, &mut settings.give_up_on, statuses(value)),
            "timeoutSeconds" => {
                self.take(name, &mut settings.timeout_seconds, whole(value, 1, MAX_TIMEOUT_SECONDS));
            }
            "concurrency" => {
                let read = whole(value, 1, MAX_CONCURRENCY).map(|slots| slots as u16);
                self.take(name, &mut settings.concurrency, read);
            }
            "rateLimitPerSecond" => self.take(name, &mut settings.rate_limit_per_second, rate(value).map(Some)),
            "ordering" => {
                let read = one_of(value, &[("none", EventOrdering::None), ("chat", EventOrdering::Chat)]);
                self.take(name, &mut settings.ordering, read);
            }
            "format" => {
                let formats = PayloadFormat::ALL.map(|format| (format.as_str(), format));
                self.take(name, &mut settings.format, one_of(value, &formats));
            }
            "base64" => self.take(name, &mut settings.base64, boolean(value)),
            "metadata" => self.take(name, &mut settings.metadata, metadata(value)),
            "proxy" => self.take(name, &mut settings.proxy, parse_proxy(value)),
            "tlsServerName" => self.take(name, &mut settings.tls_server_name, parse_server_name(value)),
            "clientCertificate" => {
                self.take(name, &mut settings.client_certificate, parse_client_certificate(value));
            }
            _ => self.add(name, "is not known"),
        }
    }

    /// Refuses settings that do nothing together.
    fn check_together(&mut self, settings: &EndpointSettings) {
        if settings.base64 && settings.format == PayloadFormat::Waha {
            self.add("base64", "does nothing with the format waha, whose events have links to files");
        }
        let format = settings.format;
        let all = EventType::ALL;
        let wanted: Vec<&EventType> = all
            .iter()
            .filter(|event| settings.events.is_empty() || settings.events.iter().any(|pattern| pattern.admits(event)))
            .collect();
        let is_chosen = !settings.events.is_empty() && !wanted.is_empty();
        if is_chosen && !wanted.iter().any(|event| format.has_counterpart(event)) {
            self.add("events", format!("has none that the format {} has: nothing would arrive", format.as_str()));
        }
        let filter = &settings.filter;
        match filter.from_me {
            Some(true) if is_chosen && wanted.iter().all(|event| **event == EventType::MESSAGE_RECEIVED) => {
                self.add(
                    "filter.fromMe",
                    "is true, and message.received is never from this account: nothing would arrive",
                );
            }
            Some(false) if is_chosen && wanted.iter().all(|event| OWN.contains(event)) => {
                self.add(
                    "filter.fromMe",
                    "is false, and these events are always from this account: nothing would arrive",
                );
            }
            _ => {}
        }
        let is_group = |kind: ChatType| kind == ChatType::Group;
        if let Some(kind) = filter.chat_type
            && !filter.chats.is_empty()
            && filter.chats.iter().all(|chat| chat.is_group() != is_group(kind))
        {
            self.add("filter.chats", "has no chat of the chatType: nothing would arrive");
        }
    }

    /// Sets a field to its default.
    fn reset_field(&mut self, settings: &mut EndpointSettings, name: &str) {
        let new = EndpointSettings::new(String::new());
        match name {
            "description" => settings.description = new.description,
            "enabled" => (settings.enabled, settings.disabled_reason) = (new.enabled, None),
            "sessions" => settings.sessions = new.sessions,
            "events" => settings.events = new.events,
            "filter" => settings.filter = new.filter,
            "headers" => settings.headers = new.headers,
            "secret" => settings.secrets = new.secrets,
            "retry" => settings.retry = new.retry,
            "retryJitterPercent" => settings.retry_jitter_percent = new.retry_jitter_percent,
            "giveUpOn" => settings.give_up_on = new.give_up_on,
            "timeoutSeconds" => settings.timeout_seconds = new.timeout_seconds,
            "concurrency" => settings.concurrency = new.concurrency,
            "rateLimitPerSecond" => settings.rate_limit_per_second = new.rate_limit_per_second,
            "ordering" => settings.ordering = new.ordering,
            "format" => settings.format = new.format,
            "base64" => settings.base64 = new.base64,
            "metadata" => settings.metadata = new.metadata,
            "proxy" => settings.proxy = new.proxy,
            "tlsServerName" => settings.tls_server_name = new.tls_server_name,
            "clientCertificate" => settings.client_certificate = new.client_certificate,
            _ => self.add(name, "is not known"),
        }
    }

    /// Replaces the whole filter: a mixture of the old and the new one would be wrong.
    fn apply_filter(&mut self, to: &mut ContentFilter, value: &Value) {
        let Some(fields) = value.as_object() else { return self.add("filter", "must be an object") };
        let mut filter = ContentFilter::default();
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let field = format!("filter.{name}");
            match name.as_str() {
                "chats" => self.take(&field, &mut filter.chats, jids(value)),
                "senders" => self.take(&field, &mut filter.senders, jids(value)),
                "chatType" => {
                    let read = one_of(value, &[("direct", ChatType::Direct), ("group", ChatType::Group)]);
                    self.take(&field, &mut filter.chat_type, read.map(Some));
                }
                "fromMe" => self.take(&field, &mut filter.from_me, boolean(value).map(Some)),
                "fromApi" => self.take(&field, &mut filter.from_api, boolean(value).map(Some)),
                _ => self.add(&field, "is not known"),
            }
        }
        *to = filter;
    }
}

fn url(value: &Value) -> Result<String, String> {
    const RIGHT: &str = "write a whole URL, as https://example.org/webhook";
    let text = text(value, MAX_URL)?;
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URL ({error}): {RIGHT}"))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url.into()),
        "http" | "https" => Err(format!("names no host: {RIGHT}")),
        other => Err(format!("begins with {other}:, only http and https are supported: {RIGHT}")),
    }
}

fn text(value: &Value, most: usize) -> Result<String, String> {
    let text = value.as_str().ok_or("must be a string")?;
    match text.chars().count() {
        length if length > most => Err(format!("has {length} characters, at most {most} are possible")),
        _ => Ok(text.to_owned()),
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

fn whole(value: &Value, least: u64, most: u64) -> Result<u64, String> {
    value
        .as_u64()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

fn rate(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|rate| (MIN_RATE..=MAX_RATE).contains(rate))
        .ok_or_else(|| format!("must be a number from {MIN_RATE} to {MAX_RATE}"))
}

fn one_of<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("must be {}", names.join(" or "))
    })
}

fn strings(value: &Value, most: usize) -> Result<Vec<&str>, String> {
    let list = value.as_array().ok_or("must be a list of strings")?;
    if list.len() > most {
        return Err(format!("has {} entries, at most {most} are possible", list.len()));
    }
    list.iter().map(|one| one.as_str().ok_or_else(|| "must be a list of strings".to_owned())).collect()
}

fn list<T: FromStr<Err: ToString>>(value: &Value, most: usize) -> Result<Vec<T>, String> {
    strings(value, most)?.into_iter().map(|one| one.parse().map_err(|error: T::Err| error.to_string())).collect()
}

fn events(value: &Value, format: PayloadFormat) -> Result<Vec<EventPattern>, String> {
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

fn jids(value: &Value) -> Result<Vec<ChatJid>, String> {
    let list = value.as_array().ok_or("must be a list of strings")?;
    if list.len() > MAX_JIDS {
        return Err(format!("has {} entries, at most {MAX_JIDS} are possible", list.len()));
    }
    let read = |one: &Value| ChatJid::from_json(one).map_err(|error| format!("{one}: {error}"));
    list.iter().map(read).collect()
}

fn secret(value: &Value) -> Result<Vec<StoredSecret>, String> {
    let secret: SigningSecret = value.as_str().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
    Ok(vec![StoredSecret::new(secret)])
}

fn statuses(value: &Value) -> Result<Vec<u16>, String> {
    const RIGHT: &str = "must be a list of HTTP statuses from 300 to 599";
    let status = |one: &Value| whole(one, 300, 599).map(|status| status as u16).map_err(|_| RIGHT.to_owned());
    value.as_array().ok_or(RIGHT)?.iter().map(status).collect()
}

fn headers(value: &Value) -> Result<BTreeMap<String, String>, String> {
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

fn metadata(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    for (name, value) in entries(value, MAX_METADATA)? {
        let value = text(value, MAX_METADATA_VALUE).map_err(|error| format!("{name:?} {error}"))?;
        metadata.insert(name.clone(), value);
    }
    Ok(metadata)
}

fn entries(value: &Value, most: usize) -> Result<&Map<String, Value>, String> {
    let fields = value.as_object().ok_or("must be an object of strings")?;
    if fields.len() > most {
        Err(format!("has {} entries, at most {most} are possible", fields.len()))
    } else {
        Ok(fields)
    }
}

#[cfg(test)]
mod tests;

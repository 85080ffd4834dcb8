//! Parses the JSON that a user writes for an endpoint, and reports all problems at once.
//!
//! A missing field keeps its value, a null field takes its default, an unknown field is refused: a misspelt filter would let
//! every event pass.

mod values;

use super::{
    ChatType, ContentFilter, EndpointSettings, EventOrdering, PayloadFormat, RetrySchedule,
    connection::{parse_client_certificate, parse_proxy, parse_server_name},
};
use crate::{event::EventType, session::SessionId};
use serde::Serialize;
use serde_json::Value;
use values::{boolean, events, headers, jids, list, metadata, one_of, rate, secret, statuses, text, url, whole};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FieldProblem {
    /// The field's name as in JSON; `filter.chats` for a field of an object.
    pub field: String,
    /// The problem, as the end of the sentence "<field> …".
    pub message: String,
}

const MAX_DESCRIPTION: usize = 500;
/// Sessions times patterns are the filters of one NATS consumer.
const MAX_SESSIONS: usize = 20;
const MAX_TIMEOUT_SECONDS: u64 = 60;
const MAX_CONCURRENCY: u64 = 256;
/// Events that this account alone causes.
const OWN: [&EventType; 2] = [&EventType::MESSAGE_SENT, &EventType::MESSAGE_ACK];

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
            "raw" => self.take(name, &mut settings.raw, boolean(value)),
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
            "raw" => settings.raw = new.raw,
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

#[cfg(test)]
mod tests;

//! What a user writes about an endpoint, judged as a whole: the contract's fields, and what they mean here and now. Pure.

use super::endpoint_view::is_secret;
use crate::{error_code::ErrorCode, event_publisher::EventsStreamInfo, fields::field_problem, response::ApiError};
use kurir_contract::{
    address_guard::{ALLOWED_NETWORKS, NetworkList, forbidden_kind},
    endpoint::{
        ContentFilter, EndpointSettings, EventOrdering, FieldProblem, MASK, PayloadFormat, RetrySchedule, input,
        unmask_password,
    },
    session::SessionId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use url::{Host, Url};

/// A new endpoint: fields as [`EndpointFields`] names them, `url` among them. Null is the default.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct CreateEndpointRequest(pub Map<String, Value>);

/// Fields of an endpoint that change; a field that is missing keeps its value, null is the default.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct ChangeEndpointRequest(pub Map<String, Value>);

/// The fields of an endpoint that a user writes; the contract reads them.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", extend("additionalProperties" = false))]
#[expect(dead_code, reason = "it is the schema of what `input::read` reads")]
struct EndpointFields {
    /// http or https, at most 2,048 characters.
    url: Option<String>,
    /// At most 500 characters.
    description: Option<String>,
    /// While it is false, its events wait.
    enabled: Option<bool>,
    /// Empty: all.
    sessions: Option<Vec<SessionId>>,
    /// Types of events, or patterns as `message.*`; empty: all.
    events: Option<Vec<String>>,
    filter: Option<ContentFilter>,
    /// Sent with each request; `••••` keeps the stored value.
    headers: Option<BTreeMap<String, String>>,
    /// `whsec_` and 24 to 64 bytes in base64; made by Kurir if it is missing.
    secret: Option<String>,
    retry: Option<RetrySchedule>,
    /// Added to each delay by chance, at most so many hundredths of it.
    #[schemars(range(min = 0, max = 100))]
    retry_jitter_percent: Option<u8>,
    /// Statuses of an answer after which no retry follows.
    give_up_on: Option<Vec<u16>>,
    /// One deadline over connecting, the answer's head and its body.
    #[schemars(range(min = 1, max = 60))]
    timeout_seconds: Option<u64>,
    /// Fresh events in delivery at the same time, by each dispatcher.
    #[schemars(range(min = 1, max = 256))]
    concurrency: Option<u16>,
    /// Requests a second, by all dispatchers together; null: no limit.
    rate_limit_per_second: Option<f64>,
    ordering: Option<EventOrdering>,
    format: Option<PayloadFormat>,
    /// The user's own; Kurir does nothing with it.
    metadata: Option<BTreeMap<String, String>>,
    /// Whether received files come in the body, too.
    base64: Option<bool>,
    /// Whether the events have the whole message of WhatsApp in `raw`.
    raw: Option<bool>,
    /// The endpoint's own proxy, `http://user:password@host:port`; null: the operator's, if there is one.
    proxy: Option<String>,
    /// The name that the receiver's certificate must have; null: the URL's host.
    tls_server_name: Option<String>,
    client_certificate: Option<ClientCertificateFields>,
}

/// The certificate that is presented to the receiver (mTLS).
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", rename = "ClientCertificate", extend("additionalProperties" = false))]
#[expect(dead_code, reason = "it is the schema of what `input::read` reads")]
struct ClientCertificateFields {
    /// In PEM form, with those that link it to its authority.
    certificate: String,
    /// In PEM form; `••••` keeps the stored one.
    private_key: String,
}

impl JsonSchema for CreateEndpointRequest {
    fn schema_name() -> Cow<'static, str> {
        "CreateEndpointRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = EndpointFields::json_schema(generator);
        schema.insert("required".to_owned(), Value::from(vec!["url"]));
        schema
    }
}

impl JsonSchema for ChangeEndpointRequest {
    fn schema_name() -> Cow<'static, str> {
        "ChangeEndpointRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        EndpointFields::json_schema(generator)
    }
}

/// What the contract cannot know.
pub struct EndpointRules<'a> {
    pub stream: &'a EventsStreamInfo,
    pub allowed: &'a NetworkList,
}

impl EndpointRules<'_> {
    /// `before`: the endpoint that is changed; none: a new one.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn read(
        &self,
        mut body: Map<String, Value>,
        before: Option<&EndpointSettings>,
    ) -> Result<EndpointSettings, ApiError> {
        let mut problems = unmask(&mut body, before);
        match input::parse_settings(&Value::Object(body.clone()), before) {
            Ok(settings) => {
                problems.extend(self.problems(&settings));
                if problems.is_empty() {
                    return Ok(settings);
                }
            }
            Err(wrong) => {
                // The fields that could be read are judged too: one who writes to us hears all at once.
                body.retain(|name, _| !wrong.iter().any(|problem| problem.field.split('.').next() == Some(name)));
                problems.extend(wrong);
                let rest = before.cloned().unwrap_or_else(|| EndpointSettings::new(String::new()));
                if let Ok(settings) = input::parse_settings(&Value::Object(body), Some(&rest)) {
                    problems.extend(self.problems(&settings));
                }
            }
        }
        Err(ApiError::invalid(ErrorCode::InvalidEndpoint, problems))
    }

    /// A change of the endpoint `default`, whose URL may point anywhere. Null is the contract's value.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn read_default(
        &self,
        mut body: Map<String, Value>,
        before: &EndpointSettings,
    ) -> Result<EndpointSettings, ApiError> {
        let mut problems = unmask(&mut body, Some(before));
        for (field, value) in [("retry", Value::from("default")), ("base64", Value::from(true))] {
            if body.get(field).is_some_and(Value::is_null) {
                body.insert(field.to_owned(), value);
            }
        }
        match input::parse_settings(&Value::Object(body), Some(before)) {
            Ok(settings) => {
                problems.extend(self.schedule(&settings));
                if problems.is_empty() {
                    return Ok(settings);
                }
            }
            Err(wrong) => problems.extend(wrong),
        }
        Err(ApiError::invalid(ErrorCode::InvalidEndpoint, problems))
    }

    fn problems(&self, settings: &EndpointSettings) -> Vec<FieldProblem> {
        let proxy = settings.proxy.as_deref().and_then(|proxy| self.address("proxy", proxy));
        self.address("url", &settings.url).into_iter().chain(proxy).chain(self.schedule(settings)).collect()
    }

    /// A name is judged when it is resolved, at each connection; an address is what it is.
    fn address(&self, field: &'static str, url: &str) -> Option<FieldProblem> {
        let url = Url::parse(url).ok()?;
        let ip = match url.host()? {
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                // RFC 6761: always a loopback address.
                if name != "localhost" && !name.ends_with(".localhost") {
                    return None;
                }
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            }
        };
        let kind = forbidden_kind(ip, self.allowed)?;
        let host = url.host_str()?;
        Some(field_problem(
            field,
            format!(
                "leads to {host}, {kind}, which no webhook may reach: the operator can open it with {ALLOWED_NETWORKS}"
            ),
        ))
    }

    /// A retry reads its event again, so the event must still be there at the last one.
    fn schedule(&self, settings: &EndpointSettings) -> Option<FieldProblem> {
        let max_age = self.stream.max_age?;
        let longest = longest(settings);
        (longest >= max_age).then(|| {
            field_problem(
                "retry",
                format!(
                    "may take {} from the first attempt to the last, events are kept for {} (the stream EVENTS): \
                     write a shorter schedule, or let the operator keep events longer",
                    humantime::format_duration(longest),
                    humantime::format_duration(max_age)
                ),
            )
        })
    }
}

/// Each attempt may take its whole time, each delay its whole jitter. In whole seconds, rounded up.
fn longest(settings: &EndpointSettings) -> Duration {
    let delays = settings.retry.delays();
    let jitter = delays.iter().sum::<Duration>().as_secs() * u64::from(settings.retry_jitter_percent);
    let attempts = (delays.len() as u64 + 1) * settings.timeout_seconds;
    settings.retry.total_delay() + Duration::from_secs(jitter.div_ceil(100) + attempts)
}

/// Puts the stored value where the mask came back. A mask of nothing is a problem.
fn unmask(body: &mut Map<String, Value>, before: Option<&EndpointSettings>) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let stored = |name| before.and_then(|before| if name == "url" { Some(&before.url) } else { before.proxy.as_ref() });
    for name in ["url", "proxy"] {
        let Some(url) = body.get(name).and_then(Value::as_str) else { continue };
        match unmask_password(url, stored(name).map(String::as_str)) {
            Some(Ok(url)) => drop(body.insert(name.to_owned(), url.into())),
            Some(Err(message)) => problems.push(field_problem(name, message)),
            None => {}
        }
    }
    if let Some(own) = body.get_mut("clientCertificate").and_then(Value::as_object_mut)
        && own.get("privateKey").is_some_and(|key| key == MASK)
    {
        match before.and_then(|before| before.client_certificate.as_ref()) {
            Some(stored) => drop(own.insert("privateKey".to_owned(), stored.private_key.as_str().into())),
            None => {
                let message = format!("has no stored privateKey that {MASK} could stand for: write the key");
                problems.push(field_problem("clientCertificate", message));
            }
        }
    }
    let Some(headers) = body.get_mut("headers").and_then(Value::as_object_mut) else { return problems };
    headers.retain(|name, value| {
        if value != MASK {
            return true;
        }
        let lower = name.to_ascii_lowercase();
        match before.and_then(|before| before.headers.get(&lower)).filter(|_| is_secret(&lower)) {
            Some(stored) => {
                *value = stored.as_str().into();
                true
            }
            None => {
                let message = format!("{name:?} has no stored value that {MASK} could stand for: write the value");
                problems.push(field_problem("headers", message));
                false
            }
        }
    });
    problems
}

#[cfg(test)]
mod tests;

//! An endpoint as its user sees it: no secret, and of headers that may hold one only the name. Pure.

use crate::endpoint_backlog::EndpointBacklog;
use kurir_contract::endpoint::{
    CircuitState, ContentFilter, EndpointId, EndpointSettings, EndpointState, EventOrdering, EventPattern, MASK,
    PayloadFormat, RetrySchedule, StoredSecret, mask_password,
};
use kurir_contract::{clock, event::EventType, session::SessionId};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// An endpoint. Null are settings of the endpoint `default` that only the dispatchers know.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    pub id: EndpointId,
    /// `environment`: `WEBHOOK_URL` alone changes it.
    managed_by: Manager,
    /// A password in it is `••••`.
    url: String,
    description: String,
    /// While it is false, its events wait.
    enabled: bool,
    /// Why it was disabled, if not by its user.
    disabled_reason: Option<String>,
    /// Empty: all.
    sessions: Vec<SessionId>,
    /// Empty: all.
    events: Vec<EventPattern>,
    filter: ContentFilter,
    /// Names in lower case; the value of one that may hold a secret is `••••`.
    headers: BTreeMap<String, String>,
    /// Whether deliveries are signed.
    signed: Option<bool>,
    /// Until when the secret before this one signs too; null if it does not.
    old_secret_signs_until: Option<String>,
    retry: RetrySchedule,
    retry_jitter_percent: u8,
    /// Statuses of an answer after which no retry follows.
    give_up_on: Vec<u16>,
    timeout_seconds: Option<u64>,
    concurrency: Option<u16>,
    /// Null: no limit.
    rate_limit_per_second: Option<f64>,
    ordering: EventOrdering,
    format: PayloadFormat,
    metadata: BTreeMap<String, String>,
    /// Whether received files come in the body, too.
    base64: bool,
    /// Whether the events have the whole message of WhatsApp in `raw`.
    raw: bool,
    /// The endpoint's own proxy; a password in it is `••••`. Null: the operator's, if there is one.
    proxy: Option<String>,
    /// The name that the receiver's certificate must have; null: the URL's host.
    tls_server_name: Option<String>,
    client_certificate: Option<ClientCertificateView>,
    /// The first event of the endpoint in EVENTS.
    start_sequence: u64,
    /// ISO 8601.
    created_at: Option<String>,
    updated_at: Option<String>,
    /// What its user may not have meant; missing if there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

const TEST_URL: &str = "The URL is a test URL of n8n (/webhook-test/): it answers only while somebody listens in the editor. \
    Use the production URL (/webhook/), and publish the flow.";
const OWN_MESSAGES: &str = "The endpoint also receives what this account sends (message.sent). A receiver that answers each \
    event would answer itself without end: set events to [\"message.received\"], or filter.fromMe or filter.fromApi to false.";

/// What the settings do that is seldom meant.
pub fn find_warnings(settings: &EndpointSettings) -> Vec<&'static str> {
    let is_test_url = settings.url.contains("/webhook-test/");
    let is_wanted = |event| settings.events.is_empty() || settings.events.iter().any(|one| one.admits(&event));
    let hears_itself = is_wanted(EventType::MESSAGE_RECEIVED)
        && is_wanted(EventType::MESSAGE_SENT)
        && settings.filter.from_me.is_none()
        && settings.filter.from_api.is_none();
    let found = [is_test_url.then_some(TEST_URL), hears_itself.then_some(OWN_MESSAGES)];
    found.into_iter().flatten().collect()
}

/// The certificate that is presented to the receiver.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientCertificateView {
    /// In PEM form.
    certificate: String,
    /// Always `••••`.
    private_key: &'static str,
}

/// Who changes an endpoint.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EndpointManager")]
enum Manager {
    Api,
    Environment,
}

/// An endpoint, how it fares and what waits for it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointDetailsView {
    #[serde(flatten)]
    endpoint: EndpointView,
    circuit: CircuitState,
    /// Since when every attempt fails, ISO 8601; null if it does not fail.
    failing_since: Option<String>,
    last_error: Option<String>,
    backlog: EndpointBacklog,
}

/// An endpoint with the secret that signs from now on: shown once, in the answer that makes it.
#[derive(Serialize, JsonSchema)]
pub struct EndpointSecretView {
    #[serde(flatten)]
    endpoint: EndpointView,
    secret: Option<String>,
}

impl EndpointView {
    pub fn new(id: &EndpointId, settings: &EndpointSettings) -> Self {
        let is_default = id.is_default();
        let old = settings.secrets.get(1).filter(|old| old.is_valid(clock::now()));
        let headers = settings.headers.iter().map(|(name, value)| {
            let shown = if is_secret(name) && !value.is_empty() { MASK } else { value };
            (name.clone(), shown.to_owned())
        });
        let EndpointSettings { url, description, enabled, disabled_reason, sessions, events, filter, .. } =
            settings.clone();
        Self {
            id: id.clone(),
            managed_by: if is_default { Manager::Environment } else { Manager::Api },
            url: mask_password(&url),
            description,
            enabled,
            disabled_reason,
            sessions,
            events,
            filter,
            headers: headers.collect(),
            signed: (!is_default).then_some(!settings.secrets.is_empty()),
            old_secret_signs_until: old.and_then(|old| old.until.clone()),
            retry: settings.retry.clone(),
            retry_jitter_percent: settings.retry_jitter_percent,
            give_up_on: settings.give_up_on.clone(),
            timeout_seconds: (!is_default).then_some(settings.timeout_seconds),
            concurrency: (!is_default).then_some(settings.concurrency),
            rate_limit_per_second: settings.rate_limit_per_second,
            ordering: settings.ordering,
            format: settings.format,
            metadata: settings.metadata.clone(),
            base64: settings.base64,
            raw: settings.raw,
            proxy: settings.proxy.as_deref().map(mask_password),
            tls_server_name: settings.tls_server_name.clone(),
            client_certificate: settings
                .client_certificate
                .as_ref()
                .map(|own| ClientCertificateView { certificate: own.certificate.clone(), private_key: MASK }),
            start_sequence: settings.start_sequence,
            created_at: (!is_default).then(|| settings.created_at.clone()),
            updated_at: (!is_default).then(|| settings.updated_at.clone()),
            warnings: if is_default { Vec::new() } else { find_warnings(settings) },
        }
    }
}

impl EndpointDetailsView {
    pub fn new(id: &EndpointId, settings: &EndpointSettings, state: EndpointState, backlog: EndpointBacklog) -> Self {
        let EndpointState { circuit, failing_since, last_error, .. } = state;
        Self { endpoint: EndpointView::new(id, settings), circuit, failing_since, last_error, backlog }
    }
}

impl EndpointSecretView {
    pub fn new(id: &EndpointId, settings: &EndpointSettings) -> Self {
        let secret = settings.secrets.first().map(|StoredSecret { secret, .. }| secret.reveal().to_owned());
        Self { endpoint: EndpointView::new(id, settings), secret }
    }
}

/// Whether a header's value may be a secret; names are in lower case.
pub fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "key", "token", "secret", "password"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::endpoint::{ClientCertificate, SigningSecret};

    #[test]
    fn what_is_shown_holds_no_secret() {
        let names = ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-token", "x-secret-thing"];
        let headers = names.iter().map(|name| ((*name).to_owned(), "hidden".to_owned()));
        let (secret, plain) = (SigningSecret::random(), ("x-tenant".to_owned(), "blue".to_owned()));
        let settings = EndpointSettings {
            headers: headers.chain([plain]).collect::<BTreeMap<_, _>>(),
            secrets: vec![StoredSecret::new(secret.clone())],
            proxy: Some("http://proxy:hidden@example.org/".to_owned()),
            client_certificate: Some(ClientCertificate {
                certificate: "public".to_owned(),
                private_key: "hidden".to_owned(),
            }),
            ..EndpointSettings::new("https://user:hidden@example.org/".to_owned())
        };
        let view = EndpointView::new(&EndpointId::random(), &settings);
        assert_eq!((view.headers["x-tenant"].as_str(), view.signed), ("blue", Some(true)));
        assert!(names.iter().all(|name| view.headers[*name] == MASK));
        let text = serde_json::to_string(&view).expect("JSON");
        assert!(!text.contains("hidden") && !text.contains("whsec_") && !text.contains("secrets"), "{text}");
        let with_secret = EndpointSecretView::new(&EndpointId::random(), &settings);
        assert_eq!(with_secret.secret.as_deref(), Some(&*secret.reveal()));
    }
}

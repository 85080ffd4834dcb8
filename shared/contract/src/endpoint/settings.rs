//! The settings of an endpoint, as the bucket has them.

use super::{ClientCertificate, ContentFilter, EndpointId, EventPattern, PayloadFormat, RetrySchedule, StoredSecret};
use crate::{session::SessionId, subject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of an endpoint; its id is the key. A field that an older version of Kurir did not write has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSettings {
    /// An http or https URL; its path may be a secret.
    pub url: String,
    #[serde(default)]
    pub description: String,
    /// While this is false, the endpoint's events wait in EVENTS.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Why Kurir disabled it; none if Kurir did not.
    #[serde(default)]
    pub disabled_reason: Option<String>,
    /// Only events of these sessions; empty: of all.
    #[serde(default)]
    pub sessions: Vec<SessionId>,
    /// Only events of these types; empty: of all.
    #[serde(default)]
    pub events: Vec<EventPattern>,
    #[serde(default)]
    pub filter: ContentFilter,
    /// Headers of each request; names are in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The secrets that sign; the first one is the newest. Empty: requests are not signed.
    #[serde(default)]
    pub secrets: Vec<StoredSecret>,
    #[serde(default)]
    pub retry: RetrySchedule,
    /// The largest random addition to each delay, in per cent of the delay.
    #[serde(default)]
    pub retry_jitter_percent: u8,
    /// Statuses after which no retry follows.
    #[serde(default)]
    pub give_up_on: Vec<u16>,
    /// The deadline for connecting, the answer's head and its body together.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// How many new events each dispatcher delivers at the same time.
    #[serde(default = "default_concurrency")]
    pub concurrency: u16,
    /// Requests per second of all dispatchers together; none: no limit.
    #[serde(default)]
    pub rate_limit_per_second: Option<f64>,
    #[serde(default)]
    pub ordering: EventOrdering,
    #[serde(default)]
    pub format: PayloadFormat,
    /// The URL of the endpoint's own proxy, which may hold a password; none: the operator's, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The name that the receiver's certificate must have, if it is not the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// Any data of the user; Kurir does not use it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Whether the body has received files as `base64`.
    #[serde(default)]
    pub base64: bool,
    /// Whether the events have the whole message of WhatsApp in `raw`, also if the gateway's INCLUDE_RAW is false.
    #[serde(default)]
    pub raw: bool,
    /// The sequence in EVENTS of the endpoint's first event: events that were stored before its creation are not delivered.
    #[serde(default)]
    pub start_sequence: u64,
    /// When the stream EVENTS was created that `start_sequence` counts in, ISO 8601 as NATS writes it; none: not known. A
    /// stream that was created at another time is another one, and counts from 1 again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_created: Option<String>,
    /// When it was created, ISO 8601.
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
}

/// The order in which events reach an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventOrdering {
    /// Any order: a later event may arrive before the retry of an earlier one.
    #[default]
    None,
    /// The events of one chat arrive in the order in which they were stored. An event that fails delays its chat and no
    /// other. Of the replays, that of the dead letters is in order, too.
    Chat,
}

fn yes() -> bool {
    true
}

fn default_timeout() -> u64 {
    EndpointSettings::UNWRITTEN_TIMEOUT_SECONDS
}

fn default_concurrency() -> u16 {
    EndpointSettings::DEFAULT_CONCURRENCY
}

impl EndpointSettings {
    /// The timeout of a new endpoint. A flow that works for 20 s before it answers is no failure.
    pub const DEFAULT_TIMEOUT_SECONDS: u64 = 30;
    /// The timeout of settings without this field: the contract's.
    const UNWRITTEN_TIMEOUT_SECONDS: u64 = 10;
    /// Half of the concurrency of `default`: there may be thousands of endpoints.
    pub const DEFAULT_CONCURRENCY: u16 = 32;

    /// The settings of a new endpoint of which only the URL is known.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            description: String::new(),
            enabled: true,
            disabled_reason: None,
            sessions: Vec::new(),
            events: Vec::new(),
            filter: ContentFilter::default(),
            headers: BTreeMap::new(),
            secrets: Vec::new(),
            retry: RetrySchedule::Patient,
            retry_jitter_percent: 0,
            give_up_on: Vec::new(),
            timeout_seconds: Self::DEFAULT_TIMEOUT_SECONDS,
            concurrency: default_concurrency(),
            rate_limit_per_second: None,
            ordering: EventOrdering::None,
            format: PayloadFormat::Kurir,
            base64: false,
            raw: false,
            proxy: None,
            tls_server_name: None,
            client_certificate: None,
            metadata: BTreeMap::new(),
            start_sequence: 0,
            stream_created: None,
            created_at: String::new(),
            updated_at: String::new(),
        }
    }

    /// The settings of the endpoint `default` before anything is set: the contract's behaviour.
    #[must_use]
    pub fn contract_default(url: String) -> Self {
        Self {
            retry: RetrySchedule::Default,
            timeout_seconds: Self::UNWRITTEN_TIMEOUT_SECONDS,
            // The contract has received files in the body.
            base64: true,
            ..Self::new(url)
        }
    }

    /// The filter subjects of its consumer on EVENTS: the events that it receives, and its own tests.
    #[must_use]
    pub fn consumer_filters(&self, id: &EndpointId) -> Vec<String> {
        let mut subjects = super::filter_subjects(&self.sessions, &self.events);
        let test = subject::test_of_endpoint(id);
        if !subjects.iter().any(|wanted| subject::filter_matches(wanted, &test)) {
            subjects.push(test);
        }
        subjects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_always_hears_its_own_tests_and_no_subjects_overlap() {
        let id: EndpointId = "ep_1".parse().unwrap();
        let own = "whatsapp.events.default.test.ep_1";
        for (sessions, events, expected) in [
            (vec![], vec![], vec!["whatsapp.events.>"]),
            (vec![], vec!["message.*"], vec!["whatsapp.events.*.message.>", own]),
            (vec![], vec!["test.*"], vec!["whatsapp.events.*.test.>"]),
            (vec![], vec!["test"], vec!["whatsapp.events.*.test", own]),
            (vec!["default"], vec!["*"], vec!["whatsapp.events.default.>"]),
            (vec!["sales"], vec!["*"], vec!["whatsapp.events.sales.>", own]),
        ] {
            let settings = EndpointSettings {
                sessions: sessions.iter().map(|session| session.parse().unwrap()).collect(),
                events: events.iter().map(|event| event.parse().unwrap()).collect(),
                ..EndpointSettings::new(String::new())
            };
            assert_eq!(settings.consumer_filters(&id), expected, "{sessions:?} {events:?}");
        }
    }

    #[test]
    fn what_an_older_version_stored_is_read() {
        let read: EndpointSettings = serde_json::from_str(r#"{"url":"https://example.org/"}"#).unwrap();
        // New endpoints have more patience than those that an older version made.
        let new = EndpointSettings::new("https://example.org/".to_owned());
        assert_eq!((&new.retry, new.timeout_seconds), (&RetrySchedule::Patient, 30));
        assert_eq!(read, EndpointSettings { retry: RetrySchedule::Default, timeout_seconds: 10, ..new });
        let again: EndpointSettings = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}

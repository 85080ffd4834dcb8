//! An endpoint as the bucket holds it.

use super::{ContentFilter, EndpointId, EventPattern, PayloadFormat, RetrySchedule, StoredSecret};
use crate::{session::SessionId, subject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything about an endpoint but its id, which is the key. A field that an older Kurir did not know has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSettings {
    /// http or https; its path may be a secret.
    pub url: String,
    #[serde(default)]
    pub description: String,
    /// While it is false its events wait in EVENTS.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Why it was disabled, if not by its user.
    #[serde(default)]
    pub disabled_reason: Option<String>,
    /// Empty: all.
    #[serde(default)]
    pub sessions: Vec<SessionId>,
    /// Empty: all.
    #[serde(default)]
    pub events: Vec<EventPattern>,
    #[serde(default)]
    pub filter: ContentFilter,
    /// Sent with each request, names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The first is the one that a user was shown last. Empty: not signed.
    #[serde(default)]
    pub secrets: Vec<StoredSecret>,
    #[serde(default)]
    pub retry: RetrySchedule,
    /// Added to each delay by chance, at most so many hundredths of it.
    #[serde(default)]
    pub retry_jitter_percent: u8,
    /// Statuses of an answer after which no retry follows.
    #[serde(default)]
    pub give_up_on: Vec<u16>,
    /// One deadline over connecting, the answer's head and its body.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// Fresh events in delivery at the same time, by each dispatcher.
    #[serde(default = "default_concurrency")]
    pub concurrency: u16,
    /// Requests a second, by all dispatchers together; none: no limit.
    #[serde(default)]
    pub rate_limit_per_second: Option<f64>,
    #[serde(default)]
    pub ordering: EventOrdering,
    #[serde(default)]
    pub format: PayloadFormat,
    /// The user's own; Kurir does nothing with it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Whether received files come in the body, too, as `base64`.
    #[serde(default)]
    pub base64: bool,
    /// The first event in EVENTS that is its: those before its making are not.
    #[serde(default)]
    pub start_sequence: u64,
    /// ISO 8601.
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
}

/// In which order events reach an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventOrdering {
    /// As fast as it goes: a retry may overtake, and be overtaken.
    #[default]
    None,
    /// Events of one chat in the order in which they were stored; an event that fails holds its chat, and no other. What
    /// is replayed comes beside them, in no order.
    Chat,
}

fn yes() -> bool {
    true
}

fn default_timeout() -> u64 {
    EndpointSettings::DEFAULT_TIMEOUT_SECONDS
}

fn default_concurrency() -> u16 {
    EndpointSettings::DEFAULT_CONCURRENCY
}

impl EndpointSettings {
    /// The contract's.
    pub const DEFAULT_TIMEOUT_SECONDS: u64 = 10;
    /// Half of what `default` has: there may be thousands.
    pub const DEFAULT_CONCURRENCY: u16 = 32;

    /// A new endpoint with nothing set but its URL.
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
            retry: RetrySchedule::Default,
            retry_jitter_percent: 0,
            give_up_on: Vec::new(),
            timeout_seconds: default_timeout(),
            concurrency: default_concurrency(),
            rate_limit_per_second: None,
            ordering: EventOrdering::None,
            format: PayloadFormat::Kurir,
            base64: false,
            metadata: BTreeMap::new(),
            start_sequence: 0,
            created_at: String::new(),
            updated_at: String::new(),
        }
    }

    /// The filter subjects of its consumer on EVENTS: what it wants, and its own tests.
    #[must_use]
    pub fn subjects(&self, id: &EndpointId) -> Vec<String> {
        let mut subjects = super::subjects(&self.sessions, &self.events);
        let test = subject::test_of_endpoint(id);
        if !subjects.iter().any(|wanted| subject::holds(wanted, &test)) {
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
            assert_eq!(settings.subjects(&id), expected, "{sessions:?} {events:?}");
        }
    }

    #[test]
    fn what_an_older_version_stored_is_read() {
        let read: EndpointSettings = serde_json::from_str(r#"{"url":"https://example.org/"}"#).unwrap();
        assert_eq!(read, EndpointSettings::new("https://example.org/".to_owned()));
        let again: EndpointSettings = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}

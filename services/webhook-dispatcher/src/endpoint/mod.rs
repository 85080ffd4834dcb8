//! What an endpoint is: where events go, and how. Pure.

pub mod request_url;
pub mod retry_policy;

use crate::endpoint::retry_policy::RetryPolicy;
use anyhow::Context as _;
use kurir_contract::endpoint::{
    ContentFilter, EndpointId, EndpointSettings, EventOrdering, PayloadFormat, StoredSecret,
};
use std::{collections::BTreeMap, time::Duration};
use url::Url;

/// Where events go, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub id: EndpointId,
    pub url: Url,
    pub description: String,
    /// While it is false, its events wait in EVENTS.
    pub enabled: bool,
    /// Of its consumer on EVENTS.
    pub subjects: Vec<String>,
    /// The first event that is its; 0: the first that is stored.
    pub start_sequence: u64,
    pub filter: ContentFilter,
    pub format: PayloadFormat,
    /// Whether received files come in the body, too.
    pub base64: bool,
    pub headers: BTreeMap<String, String>,
    pub secrets: Vec<StoredSecret>,
    /// One deadline over connecting, the answer's head and its body.
    pub timeout: Duration,
    /// After it the broker gives an event that is not settled to another dispatcher.
    pub ack_wait: Duration,
    /// Fresh events in delivery at the same time.
    pub concurrency: usize,
    /// Requests a second, by all dispatchers together.
    pub rate_limit: Option<f64>,
    pub ordering: EventOrdering,
    pub retry_policy: RetryPolicy,
    /// The user who made it is not the operator: its URL must not lead into the operator's network.
    pub guarded: bool,
}

/// After an attempt its end must still be stored before the broker gives the event to another dispatcher.
pub const SETTLEMENT_RESERVE: Duration = Duration::from_secs(5);

impl Endpoint {
    /// One that was made through the API.
    ///
    /// # Errors
    /// If the bucket holds what no endpoint can be.
    pub fn from_settings(id: EndpointId, settings: EndpointSettings, least_ack_wait: Duration) -> anyhow::Result<Self> {
        let subjects = settings.subjects(&id);
        let timeout = Duration::from_secs(settings.timeout_seconds.max(1));
        let url: Url = settings.url.parse().context("its URL is none")?;
        anyhow::ensure!(["http", "https"].contains(&url.scheme()), "its URL is neither http nor https");
        Ok(Self {
            id,
            url,
            description: settings.description,
            enabled: settings.enabled,
            subjects,
            start_sequence: settings.start_sequence,
            filter: settings.filter,
            format: settings.format,
            // WAHA's events have links alone.
            base64: settings.base64 && settings.format != PayloadFormat::Waha,
            headers: settings.headers,
            secrets: settings.secrets,
            timeout,
            ack_wait: least_ack_wait.max(timeout + SETTLEMENT_RESERVE),
            concurrency: usize::from(settings.concurrency.max(1)),
            rate_limit: settings.rate_limit_per_second,
            ordering: settings.ordering,
            retry_policy: RetryPolicy::of_schedule(settings.retry.delays())
                .with_jitter(settings.retry_jitter_percent)
                .giving_up_on(settings.give_up_on),
            guarded: true,
        })
    }

    /// Retries have slots of their own, so that neither they nor fresh events wait for the other. A quarter: an
    /// endpoint that fails often is not helped by more requests at once.
    #[must_use]
    pub fn retry_concurrency(&self) -> usize {
        self.concurrency.div_ceil(4)
    }
}

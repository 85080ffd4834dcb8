//! What an endpoint is: where events go, and how. Pure.

pub mod connection;
pub mod request_url;
pub mod retry_policy;

use crate::endpoint::{connection::ConnectionSettings, retry_policy::RetryPolicy};
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
    /// While this is false, the events wait in EVENTS.
    pub enabled: bool,
    /// The filters of the consumer on EVENTS.
    pub subjects: Vec<String>,
    /// The first event for this endpoint; 0: the first that is stored.
    pub start_sequence: u64,
    /// When the stream was created that `start_sequence` counts in; none: not known.
    pub stream_created: Option<String>,
    pub filter: ContentFilter,
    pub format: PayloadFormat,
    /// Whether the body includes received files.
    pub base64: bool,
    /// Whether the body has the whole message of WhatsApp in `raw`.
    pub raw: bool,
    pub headers: BTreeMap<String, String>,
    pub secrets: Vec<StoredSecret>,
    /// The deadline for connecting, the answer's headers and its body together.
    pub timeout: Duration,
    /// After this time NATS gives an event that is not settled to another dispatcher.
    pub ack_wait: Duration,
    /// The most fresh events in delivery at once.
    pub concurrency: usize,
    /// Requests per second, over all dispatchers.
    pub rate_limit: Option<f64>,
    pub ordering: EventOrdering,
    pub retry_policy: RetryPolicy,
    /// Its proxy, its TLS server name, its client certificate.
    pub connection: ConnectionSettings,
    /// Whether a user made the endpoint: then its URL must not lead into the operator's network.
    pub guarded: bool,
}

/// Time between the end of an attempt and `ack_wait`, in which the end must be stored.
pub const SETTLEMENT_RESERVE: Duration = Duration::from_secs(5);

impl Endpoint {
    /// Builds an endpoint that was made through the API.
    ///
    /// # Errors
    /// If the bucket holds something that cannot be an endpoint.
    pub fn from_settings(id: EndpointId, settings: EndpointSettings, least_ack_wait: Duration) -> anyhow::Result<Self> {
        let subjects = settings.consumer_filters(&id);
        let timeout = Duration::from_secs(settings.timeout_seconds.max(1));
        let url: Url = settings.url.parse().context("its URL is not valid")?;
        anyhow::ensure!(["http", "https"].contains(&url.scheme()), "its URL is neither http nor https");
        Ok(Self {
            id,
            url,
            description: settings.description,
            enabled: settings.enabled,
            subjects,
            start_sequence: settings.start_sequence,
            stream_created: settings.stream_created,
            filter: settings.filter,
            format: settings.format,
            // WAHA's events have links only.
            base64: settings.base64 && settings.format != PayloadFormat::Waha,
            raw: settings.raw,
            headers: settings.headers,
            secrets: settings.secrets,
            timeout,
            ack_wait: least_ack_wait.max(timeout + SETTLEMENT_RESERVE),
            concurrency: usize::from(settings.concurrency.max(1)),
            rate_limit: settings.rate_limit_per_second,
            ordering: settings.ordering,
            retry_policy: RetryPolicy::from_schedule(settings.retry.delays())
                .with_jitter(settings.retry_jitter_percent)
                .with_final_statuses(settings.give_up_on),
            connection: ConnectionSettings {
                proxy: settings.proxy.as_deref().map(Url::parse).transpose().context("its proxy is no URL")?,
                server_name: settings.tls_server_name,
                certificate: settings.client_certificate,
            },
            guarded: true,
        })
    }

    /// The most retries in delivery at once. Retries have a limit of their own, so that they and fresh events do not
    /// wait for each other. It is a quarter: more requests at once do not help an endpoint that fails often.
    #[must_use]
    pub fn retry_concurrency(&self) -> usize {
        Self::retry_share(self.concurrency)
    }

    /// The most retries in delivery at once, if so many fresh events may be.
    #[must_use]
    pub fn retry_share(concurrency: usize) -> usize {
        concurrency.div_ceil(4)
    }
}

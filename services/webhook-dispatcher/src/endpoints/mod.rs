//! The endpoints that events are delivered to, and how their events are taken from the broker.
//!
//! `follow` hears of every endpoint that is made, changed or deleted, and tells the one `worker`. An endpoint has a
//! durable `consumer` on EVENTS, so its position and its backlog are its own, and, once it has retries, another on
//! RETRIES: each is a `line`, which asks for no more than can be delivered at once. All lines are heard through one
//! `inbox`. An endpoint that keeps its chats in order has a task of its own for its events: `ordered`. `roster` is the
//! worker's list of endpoints with their lines, limits and circuit breakers; `settled` knows what was settled lately, for
//! the day when the broker forgets. What deliveries say of an endpoint is `news`; `standing` makes it known, and `failing`
//! tells what is known. `directory` reads one endpoint for who asks seldom, `colleagues` counts the dispatchers.

mod breaker;
mod colleagues;
mod consumer;
mod directory;
mod failing;
mod follow;
mod inbox;
mod line;
mod news;
mod ordered;
mod rate_limit;
mod roster;
pub(crate) mod settled;
pub mod standing;
mod worker;

pub use colleagues::Colleagues;
pub use consumer::{RetriesConsumer, Source};
pub use directory::Directory;
pub use failing::Failing;
pub use follow::{Change, Follower};
pub use news::QUEUE as NEWS;
pub use worker::{Supplies, Worker};

use crate::{config::Config, delivery::RetryPolicy};
use anyhow::Context as _;
use kurir_contract::{
    endpoint::{ContentFilter, EndpointId, EndpointSettings, EventOrdering, PayloadFormat, StoredSecret},
    subject,
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
    /// The endpoint `default`. Its URL is the operator's own and may point anywhere.
    #[must_use]
    pub fn of_settings(config: &Config, url: Url) -> Self {
        Self {
            id: EndpointId::default(),
            url,
            description: String::new(),
            enabled: true,
            subjects: vec![subject::ALL_EVENTS.to_owned()],
            start_sequence: 0,
            filter: ContentFilter::default(),
            format: PayloadFormat::Kurir,
            // The contract's.
            base64: true,
            headers: BTreeMap::new(),
            secrets: config.webhook_secret().into_iter().map(StoredSecret::new).collect(),
            timeout: config.webhook_timeout,
            ack_wait: config.webhook_ack_wait,
            concurrency: usize::from(config.webhook_concurrency),
            rate_limit: None,
            ordering: EventOrdering::None,
            retry_policy: RetryPolicy::default(),
            guarded: false,
        }
    }

    /// One that was made through the API.
    ///
    /// # Errors
    /// If the bucket holds what no endpoint can be.
    pub fn of_bucket(id: EndpointId, settings: EndpointSettings, config: &Config) -> anyhow::Result<Self> {
        let subjects = settings.consumer_filters(&id);
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
            ack_wait: config.webhook_ack_wait.max(timeout + SETTLEMENT_RESERVE),
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

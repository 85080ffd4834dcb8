//! The endpoints that events are delivered to, and how their events are taken from the broker.
//!
//! An endpoint has a durable consumer on EVENTS (`consumer`), so its position and its backlog are its own, and another
//! on RETRIES. A `worker` takes from each, through a `pull` that asks for no more than can be delivered at once.
//! `settled` knows what was settled lately, for the day when the broker forgets.

mod consumer;
mod pull;
pub(crate) mod settled;
mod worker;

pub use consumer::Source;
pub use worker::Worker;

use crate::{config::Config, delivery::RetryPolicy};
use kurir_contract::endpoint::EndpointId;
use std::time::Duration;
use url::Url;

/// Where events go, and how.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: EndpointId,
    pub url: Url,
    /// One deadline over connecting, the answer's head and its body.
    pub timeout: Duration,
    /// After it the broker gives an event that is not settled to another dispatcher.
    pub ack_wait: Duration,
    /// Fresh events in delivery at the same time.
    pub concurrency: usize,
    pub retry_policy: RetryPolicy,
}

impl Endpoint {
    /// The endpoint `default`. Its URL is the operator's own and may point anywhere.
    #[must_use]
    pub fn of_settings(config: &Config, url: Url) -> Self {
        Self {
            id: EndpointId::default(),
            url,
            timeout: config.webhook_timeout,
            ack_wait: config.webhook_ack_wait,
            concurrency: usize::from(config.webhook_concurrency),
            retry_policy: RetryPolicy::default().never_disabling(),
        }
    }

    /// Retries have slots of their own, so that neither they nor fresh events wait for the other. A quarter: an
    /// endpoint that fails often is not helped by more requests at once.
    #[must_use]
    pub fn retry_concurrency(&self) -> usize {
        self.concurrency.div_ceil(4)
    }
}

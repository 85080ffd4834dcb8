//! The bare loop: what any program must do that takes events from JetStream and delivers them, and nothing else.
//!
//! No retry, no record, no log, no deadline. 64 in flight, as the dispatcher has by default.

use anyhow::Context as _;
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, pull},
};
use futures::StreamExt as _;
use kurir_contract::{stream, subject};

const IN_FLIGHT: usize = 64;

/// Runs until it is killed.
pub async fn run(nats: &str, webhook: &str) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok().context("failed to install the TLS provider")?;
    let jetstream = jetstream::new(async_nats::connect(nats).await?);
    let config = pull::Config {
        durable_name: Some("raw".to_owned()),
        filter_subject: subject::ALL_EVENTS.to_owned(),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 20_000,
        ..pull::Config::default()
    };
    let consumer = jetstream.create_consumer_on_stream(config, stream::EVENTS).await?;
    let client = reqwest::Client::builder().pool_max_idle_per_host(IN_FLIGHT).build()?;
    let url = reqwest::Url::parse(webhook)?;
    let mut deliveries = consumer
        .messages()
        .await?
        .map(async |message| {
            let message = message?;
            let request =
                client.post(url.clone()).header("content-type", "application/json").body(message.payload.clone());
            let answer = request.send().await?.error_for_status()?;
            answer.bytes().await?;
            message.ack().await.map_err(anyhow::Error::from_boxed)
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(delivered) = deliveries.next().await {
        delivered?;
    }
    Ok(())
}

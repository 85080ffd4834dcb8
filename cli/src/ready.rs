//! `kurir ready`: is a service ready? For containers, which have no curl.

use anyhow::Context as _;
use reqwest::{Client, Url};
use std::time::Duration;

/// Below the three seconds that an orchestrator usually grants.
const TIMEOUT: Duration = Duration::from_secs(2);

pub async fn ready(url: Url) -> anyhow::Result<bool> {
    // Refused only if it is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().timeout(TIMEOUT).no_proxy().build().context("failed to make an HTTP client")?;
    let answer = client.get(url).send().await.context("failed to reach the service")?;
    println!("{}", answer.status());
    Ok(answer.status().is_success())
}

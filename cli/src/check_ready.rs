//! `kurir ready`: checks whether a service is ready. Containers use it, because they have no curl.

use anyhow::Context as _;
use reqwest::{Client, Url};
use std::time::Duration;

/// Shorter than the three seconds that an orchestrator usually waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Prints the status of `/readyz`; true if it is a 2xx.
pub async fn check_ready(url: Url) -> anyhow::Result<bool> {
    // An error means that a provider is installed already, which is enough.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().timeout(TIMEOUT).no_proxy().build().context("failed to make an HTTP client")?;
    let answer = client.get(url).send().await.context("failed to reach the service")?;
    println!("{}", answer.status());
    Ok(answer.status().is_success())
}

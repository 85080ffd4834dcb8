//! `kurir ready`: checks whether a service is ready. Containers use it, because they have no curl.
//!
//! The API may speak HTTPS only (`TLS_CERT_FILE`), with a certificate for another name than that of the loopback address. It says so,
//! and is asked with TLS; on a loopback address, any certificate will do.

use anyhow::Context as _;
use reqwest::{Client, StatusCode, Url};
use std::time::Duration;
use url::Host;

/// Shorter than the three seconds that an orchestrator usually waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Prints the status of `/readyz`; true if it is a 2xx.
pub async fn check_ready(url: Url) -> anyhow::Result<bool> {
    // An error means that a provider is installed already, which is enough.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let status = ask(&url).await?;
    let is_told_to_use_tls = status.is_none();
    let status = match status {
        Some(status) => status,
        None => {
            let mut secured = url;
            secured.set_scheme("https").ok().context("the service wants HTTPS")?;
            ask(&secured).await?.context("the service wants HTTPS, and refuses it")?
        }
    };
    println!("{status}{}", if is_told_to_use_tls { " (HTTPS)" } else { "" });
    Ok(status.is_success())
}

/// The status; none if the service wants HTTPS.
async fn ask(url: &Url) -> anyhow::Result<Option<StatusCode>> {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let client = Client::builder().timeout(TIMEOUT).no_proxy().tls_danger_accept_invalid_certs(is_loopback).build();
    let answer = client.context("failed to make an HTTP client")?.get(url.clone()).send().await;
    let answer = answer.context("failed to reach the service")?;
    let status = answer.status();
    let wants_tls =
        status == StatusCode::BAD_REQUEST && answer.text().await.is_ok_and(|body| body.contains("https_required"));
    Ok((!wants_tls).then_some(status))
}

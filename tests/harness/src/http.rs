//! The HTTP client with which a test acts as a user.

use std::time::Duration;

/// Longer than any answer of Kurir takes: `test` and `send` wait 25 s for a delivery.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A client that follows no redirect and gives up after 40 s.
#[track_caller]
pub fn client() -> reqwest::Client {
    // An error means that another client of this process has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    match client {
        Ok(client) => client,
        Err(problem) => panic!("no HTTP client: {problem}"),
    }
}

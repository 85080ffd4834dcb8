//! The HTTP client with which a test plays a user.

use std::time::Duration;

/// Longer than any answer of Kurir's takes (`test` and `send` wait 25 s for a delivery).
const TIMEOUT: Duration = Duration::from_secs(40);

/// A client that follows no redirect and gives up after 40 s.
#[track_caller]
pub fn client() -> reqwest::Client {
    // Refused if another client of this process did it before: then it is done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    match client {
        Ok(client) => client,
        Err(problem) => panic!("no HTTP client: {problem}"),
    }
}

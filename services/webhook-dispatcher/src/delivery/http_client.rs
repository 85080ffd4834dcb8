//! One exchange with a receiver, whatever it does: one deadline over all of it, and a bound on what is read.
//!
//! Below it is hyper's pooling client. The more comfortable client on top of that costs a fifth of a delivery's CPU
//! time (it parses the URL and walks through its layers anew for each request) and follows redirects, which we must
//! not.

use super::outcome::{Answer, Class, NoAnswer};
use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, header::LOCATION};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};
use url::Url;

/// Read, so that the connection can be used again; a longer body is cut, and its connection with it.
const BODY_READ: usize = 64 * 1024;
/// Kept for the record.
const BODY_KEPT: usize = 1024;
/// Less than the 5 s after which Node.js closes an idle connection: a request that meets the closing would fail.
const IDLE: Duration = Duration::from_secs(4);
/// Connecting is part of the deadline of an attempt; this only ends an attempt that the deadline has abandoned.
const CONNECT: Duration = Duration::from_secs(30);

pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Url,
}

impl HttpClient {
    /// `connections`: as many as there are requests at once; more are never idle.
    ///
    /// # Errors
    /// If the URL is https and this machine has no certificates to trust.
    pub fn new(url: &Url, connections: usize) -> anyhow::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(url)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(connections)
            .build(https);
        Ok(Self { client, url: url.clone() })
    }

    /// One request and its answer within `deadline`.
    pub async fn exchange(&self, request: Request<Full<Bytes>>, deadline: Duration) -> Result<Answer, NoAnswer> {
        match tokio::time::timeout(deadline, self.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::in_time(deadline)),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let response = self.client.request(request).await.map_err(|error| no_answer(&error, error.is_connect()))?;
        let status = response.status();
        let redirect_to = if status.is_redirection() { redirect_target(&self.url, &response) } else { None };
        let body = read_body(response.into_body()).await.map_err(|error| no_answer(&error, false))?;
        Ok(Answer { status: status.as_u16(), redirect_to, body })
    }
}

/// A receiver on http must not depend on the certificates of this machine: a small image has none.
fn tls(url: &Url) -> anyhow::Result<ClientConfig> {
    let config = ClientConfig::builder();
    if url.scheme() == "http" {
        return Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let config = config.with_platform_verifier().context("failed to find the certificates that this machine trusts")?;
    Ok(config.with_no_client_auth())
}

/// The body's beginning. Who answers and then floods has answered: the rest is not waited for.
async fn read_body(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    let (mut read, mut kept) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        // Trailers are no part of the body.
        let Ok(chunk) = frame?.into_data() else { continue };
        read += chunk.len();
        let room = BODY_KEPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read > BODY_READ {
            break;
        }
    }
    Ok(kept)
}

fn redirect_target(url: &Url, response: &Response<Incoming>) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    Some(origin(&url.join(location).ok()?))
}

/// Scheme, host and port: a path may be a secret.
fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

fn no_answer(error: &(dyn Error + 'static), while_connecting: bool) -> NoAnswer {
    let causes = || std::iter::successors(Some(error), |&cause| cause.source());
    let class = if causes().any(is_tls) {
        Class::Tls
    } else if while_connecting {
        Class::Connect
    } else {
        causes().find_map(class).unwrap_or(Class::Other)
    };
    // The innermost says what was wrong, those around it only where.
    NoAnswer { class, message: causes().last().map_or_else(String::new, ToString::to_string) }
}

fn class(cause: &(dyn Error + 'static)) -> Option<Class> {
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        if http.is_parse() {
            return Some(Class::Invalid);
        }
        if http.is_incomplete_message() {
            return Some(Class::Reset);
        }
    }
    let broken =
        [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof];
    let kind = cause.downcast_ref::<io::Error>()?.kind();
    broken.contains(&kind).then_some(Class::Reset)
}

/// rustls' error lies inside one or two io errors, whose `source` skips what they hold.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirects_target_is_named_without_its_path() {
        for (url, expected) in [
            ("https://user:word@other.example/secret?key=1", "https://other.example"),
            ("http://10.0.0.1:8080/secret", "http://10.0.0.1:8080"),
        ] {
            assert_eq!(origin(&url.parse().unwrap()), expected);
        }
    }
}

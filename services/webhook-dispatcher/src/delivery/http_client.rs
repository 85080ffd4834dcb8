//! One exchange with a receiver, whatever it does: one deadline over all of it, and a bound on what is read.

use super::outcome::{Answer, Class, NoAnswer};
use anyhow::Context as _;
use reqwest::{Client, Request, Response, Url, header::LOCATION, redirect::Policy};
use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};

/// Read, so that the connection can be used again; a longer body is cut, and its connection with it.
const BODY_READ: usize = 64 * 1024;
/// Kept for the record.
const BODY_KEPT: usize = 1024;
/// Less than the 5 s after which Node.js closes an idle connection: a request that meets the closing would fail.
const IDLE: Duration = Duration::from_secs(4);
/// Connecting is part of the deadline of an attempt; this only ends an attempt that the deadline has abandoned.
const CONNECT: Duration = Duration::from_secs(30);

pub struct HttpClient(Client);

impl HttpClient {
    /// `connections`: as many as there are requests at once; more are never idle.
    pub fn new(connections: usize) -> anyhow::Result<Self> {
        let client = Client::builder()
            .redirect(Policy::none())
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(IDLE)
            .connect_timeout(CONNECT)
            .build()
            .context("failed to make the HTTP client")?;
        Ok(Self(client))
    }

    pub fn client(&self) -> &Client {
        &self.0
    }

    /// One request and its answer within `deadline`.
    pub async fn exchange(&self, request: Request, deadline: Duration) -> Result<Answer, NoAnswer> {
        match tokio::time::timeout(deadline, self.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::in_time(deadline)),
        }
    }

    async fn send(&self, request: Request) -> Result<Answer, NoAnswer> {
        let mut response = self.0.execute(request).await.map_err(|error| no_answer(&error))?;
        let status = response.status();
        let redirect_to = if status.is_redirection() { redirect_target(&response) } else { None };
        let body = read_body(&mut response).await.map_err(|error| no_answer(&error))?;
        Ok(Answer { status: status.as_u16(), redirect_to, body })
    }
}

/// The body's beginning. Who answers and then floods has answered: the rest is not waited for.
async fn read_body(response: &mut Response) -> reqwest::Result<Vec<u8>> {
    let (mut read, mut kept) = (0, Vec::new());
    while let Some(chunk) = response.chunk().await? {
        read += chunk.len();
        let room = BODY_KEPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read > BODY_READ {
            break;
        }
    }
    Ok(kept)
}

/// Scheme, host and port: a path may be a secret.
fn redirect_target(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?;
    Some(origin(&target))
}

fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    NoAnswer { class: class(error), message: innermost(error) }
}

fn class(error: &reqwest::Error) -> Class {
    if error.is_timeout() {
        return Class::Timeout;
    }
    let causes = || std::iter::successors(error.source(), |&cause| cause.source());
    if causes().any(is_tls) {
        return Class::Tls;
    }
    if error.is_connect() {
        return Class::Connect;
    }
    for cause in causes() {
        if let Some(http) = cause.downcast_ref::<hyper::Error>() {
            if http.is_parse() {
                return Class::Invalid;
            }
            if http.is_incomplete_message() {
                return Class::Reset;
            }
        }
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
            )
        {
            return Class::Reset;
        }
    }
    Class::Other
}

/// rustls' error lies inside an io error, whose `source` skips it.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

/// The cause without what stands around it: reqwest's own words hold the URL.
fn innermost(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
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

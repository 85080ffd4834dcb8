//! One exchange with a receiver: one deadline for all of it, and a limit on what is read.
//!
//! It uses hyper's pooling client. The more comfortable client on top of that costs a fifth of a delivery's CPU time,
//! because it parses the URL and passes its layers for each request, and it follows redirects, which we must not do.

use crate::delivery::{
    current_phase::CurrentPhase,
    outcome::{ExchangeError, FailureClass, FailurePhase, ReceiverResponse, RetryAfter},
    resolver::{ForbiddenAddress, GuardedConnector, ResolveError},
    transport::Transport,
};
use bytes::Bytes;
use http::{
    HeaderMap, Request, StatusCode,
    header::{LOCATION, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use kurir_contract::address_guard::NetworkList;
use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};
use url::Url;

/// How much of a body is read, so that the connection can be used again. The connection of a longer body is closed.
const MAX_BODY_READ: usize = 64 * 1024;
/// How much of a body is kept for the record.
const MAX_BODY_KEPT: usize = 1024;
/// Less than the 5 s after which Node.js closes an idle connection: a request that meets the closing would fail.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Connecting is part of an attempt's deadline. This only ends a connection that the deadline has abandoned.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What an endpoint's client needs.
pub struct ClientSettings<'a> {
    pub url: &'a Url,
    /// The most idle connections: as many as there are requests at once.
    pub connections: usize,
    /// For an endpoint made through the API: the private networks that the operator allows. None: the URL is the
    /// operator's own and may point anywhere.
    pub guard: Option<NetworkList>,
    pub transport: &'a Transport,
}

pub struct HttpClient {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    url: Url,
}

impl HttpClient {
    /// # Errors
    /// If the URL is https and this machine has no certificates to trust.
    pub fn new(settings: &ClientSettings<'_>) -> anyhow::Result<Self> {
        let ClientSettings { url, connections, ref guard, transport } = *settings;
        let tcp = GuardedConnector::new(transport.dns(), guard.clone(), CONNECT_TIMEOUT);
        // Over TLS the receiver chooses HTTP/2 if it can. Then one connection carries all requests.
        let https = HttpsConnector::from((tcp, transport.tls(url)?));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .build(https);
        Ok(Self { client, url: url.clone() })
    }

    /// Sends a request and reads its answer, within `deadline`.
    pub async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<ReceiverResponse, ExchangeError> {
        let phase = CurrentPhase::new(FailurePhase::ResponseHead);
        match tokio::time::timeout(deadline, self.send(request, &phase)).await {
            Ok(answer) => answer,
            Err(_) => Err(ExchangeError::timed_out(deadline, phase.get())),
        }
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        phase: &CurrentPhase,
    ) -> Result<ReceiverResponse, ExchangeError> {
        let response = self.client.request(request).await.map_err(|error| {
            to_exchange_error(&error, if error.is_connect() { FailurePhase::Connect } else { phase.get() })
        })?;
        phase.set(FailurePhase::ResponseBody);
        let (head, body) = response.into_parts();
        let redirect_to = if head.status.is_redirection() { redirect_target(&self.url, &head.headers) } else { None };
        let retry_after = if asks_for_patience(head.status) { retry_after(&head.headers) } else { None };
        let body = read_body(body).await.map_err(|error| to_exchange_error(&error, phase.get()))?;
        Ok(ReceiverResponse { status: head.status.as_u16(), redirect_to, retry_after, headers: head.headers, body })
    }
}

/// Reads the start of a body. A receiver that answers and then floods has answered: the rest is not read.
async fn read_body(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    let (mut read, mut kept) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        // Trailers are no part of the body.
        let Ok(chunk) = frame?.into_data() else { continue };
        read += chunk.len();
        let room = MAX_BODY_KEPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read > MAX_BODY_READ {
            break;
        }
    }
    Ok(kept)
}

fn redirect_target(url: &Url, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    Some(origin(&url.join(location).ok()?))
}

fn asks_for_patience(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE
}

fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    RetryAfter::parse(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// Scheme, host and port. A path may be a secret.
fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

fn to_exchange_error(error: &(dyn Error + 'static), phase: FailurePhase) -> ExchangeError {
    let causes = || std::iter::successors(Some(error), |&cause| cause.source());
    let (class, phase) = if causes().any(|cause| cause.is::<ForbiddenAddress>()) {
        (FailureClass::Forbidden, FailurePhase::Dns)
    } else if causes().any(|cause| cause.is::<ResolveError>()) {
        (FailureClass::Connect, FailurePhase::Dns)
    } else if causes().any(is_tls) {
        (FailureClass::Tls, if phase == FailurePhase::Connect { FailurePhase::Tls } else { phase })
    } else if phase == FailurePhase::Connect {
        (FailureClass::Connect, phase)
    } else {
        (causes().find_map(failure_class).unwrap_or(FailureClass::Other), phase)
    };
    // The innermost error says what was wrong, the outer ones only where.
    ExchangeError { class, phase, message: causes().last().map_or_else(String::new, ToString::to_string) }
}

fn failure_class(cause: &(dyn Error + 'static)) -> Option<FailureClass> {
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        if http.is_parse() {
            return Some(FailureClass::Invalid);
        }
        if http.is_incomplete_message() {
            return Some(FailureClass::Reset);
        }
    }
    let broken =
        [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof];
    let kind = cause.downcast_ref::<io::Error>()?.kind();
    broken.contains(&kind).then_some(FailureClass::Reset)
}

/// rustls' error is inside one or two io errors, whose `source` skips it.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}

#[cfg(test)]
mod tests;

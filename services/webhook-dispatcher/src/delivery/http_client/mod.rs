//! One exchange with a receiver: one deadline for all of it, and a limit on what is read.
//!
//! `pool` finds (`idle_connections`) or makes a connection (`dialer`, `address_queue`, `proxy`), `http1` (`http1_head`,
//! `http1_body`) and `http2` send the request and read the answer (`answer_body`), `failure` says whether the receiver can
//! have seen a request that got none, and `work_meter` bounds what a receiver may cost. Redirects are not followed.
//!
//! `docs/decisions/0020-an-http-client-for-webhooks.md` says why this is not one of the usual clients.

mod address_queue;
mod answer_body;
mod dialer;
mod failure;
mod http1;
mod http1_body;
mod http1_head;
mod http2;
mod idle_connections;
mod pool;
pub mod proxy;
mod work_meter;

use crate::{
    delivery::{
        current_phase::CurrentPhase,
        guard::AddressGuard,
        http_client::{
            dialer::{Dialer, TlsSettings},
            failure::SendFailure,
            http1::{RawAnswer, request_head},
            pool::{CheckedOut, Checkout, CheckoutError, ConnectionPool},
            proxy::ProxyServer,
        },
        outcome::{ExchangeError, FailureClass, FailurePhase, ReceiverResponse},
        retry_after::RetryAfter,
        transport::Transport,
    },
    endpoint::{connection::ConnectionSettings, request_url::request_uri},
};
use anyhow::Context as _;
use bytes::Bytes;
use http::{
    HeaderMap, Request, StatusCode,
    header::{LOCATION, PROXY_AUTHORIZATION},
};
use kurir_contract::{
    address_guard::{ALLOWED_NETWORKS, NetworkList},
    endpoint::EndpointId,
};
use rustls::pki_types::ServerName;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// How often a request that the receiver did not take is sent again within one attempt. Each time is on another
/// connection. A receiver may take one request on each connection and refuse all others; one that
/// takes nothing on so many has a fault of its own.
const MAX_RESENDS: usize = 30;

/// What an endpoint's client needs.
pub struct ClientSettings<'a> {
    /// For the log.
    pub endpoint: &'a EndpointId,
    pub url: &'a Url,
    /// The most connections: as many as there are requests at once.
    pub connections: usize,
    /// For an endpoint made through the API: the private networks that the operator allows. None: the URL is the
    /// operator's own and may point anywhere.
    pub guard: Option<NetworkList>,
    pub connection: &'a ConnectionSettings,
    pub transport: &'a Transport,
}

pub struct HttpClient {
    pool: ConnectionPool,
    url: Url,
    endpoint: EndpointId,
    /// For http through a proxy: the target of the request is the whole URL.
    whole_target: bool,
    proxy_authorization: Option<http::HeaderValue>,
}

impl HttpClient {
    /// # Errors
    /// If the URL, the proxy or the client's certificate cannot be used, or if the URL is https and this machine has no
    /// certificates to trust.
    pub fn new(settings: &ClientSettings<'_>) -> anyhow::Result<Self> {
        let ClientSettings { endpoint, url, connections, ref guard, connection, transport } = *settings;
        let guard = AddressGuard::new(guard.clone());
        // Without user and password.
        let uri = request_uri(url)?;
        let host = uri.host().context("its URL has no host")?.to_owned();
        let proxy = match &connection.proxy {
            Some(own) => Some(ProxyServer::from_url(own, guard.clone()).context("its proxy is no http URL")?),
            None => transport.proxies().proxy_for(url),
        };
        let tls = if url.scheme() == "https" {
            let name = connection.server_name.as_deref().unwrap_or(host.trim_matches(['[', ']'])).to_owned();
            let server_name = ServerName::try_from(name).context("its host cannot be a TLS server name")?;
            Some(TlsSettings { config: transport.tls(connection.certificate.as_ref())?, server_name })
        } else {
            None
        };
        let port = url.port_or_known_default().context("its URL has no port")?;
        let whole_target = tls.is_none() && proxy.is_some();
        let proxy_authorization =
            if whole_target { proxy.as_ref().and_then(|proxy| proxy.authorization.clone()) } else { None };
        let dialer =
            Dialer { host, port, guard, resolver: transport.resolver(), tls, proxy, doubtful: Mutex::default() };
        Ok(Self {
            pool: ConnectionPool::new(dialer, connections),
            url: url.clone(),
            endpoint: endpoint.clone(),
            whole_target,
            proxy_authorization,
        })
    }

    /// Sends a request and reads its answer, within `limit`.
    pub async fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Result<ReceiverResponse, ExchangeError> {
        let until = Instant::now() + limit;
        let phase = Arc::new(CurrentPhase::new(FailurePhase::Dns));
        let waits_for_dial = AtomicBool::new(false);
        match timeout_at(until, self.send(request, &phase, &waits_for_dial, until)).await {
            Ok(answer) => answer.map(|answer| self.to_response(answer)),
            Err(_) => {
                let phase = if waits_for_dial.load(Ordering::Relaxed) { self.pool.dial_phase() } else { phase.get() };
                Err(self.without_network_details(ExchangeError::timed_out(limit, phase)))
            }
        }
    }

    async fn send(
        &self,
        mut request: Request<Bytes>,
        phase: &Arc<CurrentPhase>,
        waits_for_dial: &AtomicBool,
        until: Instant,
    ) -> Result<RawAnswer, ExchangeError> {
        if let Some(authorization) = &self.proxy_authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let mut resends = 0;
        loop {
            let checked_out = self.pool.check_out(phase, waits_for_dial, until, resends > 0).await;
            let Checkout { connection, dialed } = checked_out.map_err(|error| self.dial_failed(&error))?;
            let failure = match self.send_on(connection, &request, phase).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if let Some(address) = dialed {
                self.pool.dialer.mark_doubtful(address);
            }
            if !failure.is_unseen || resends == MAX_RESENDS {
                return Err(failure.error);
            }
            resends += 1;
            tracing::debug!(
                endpoint.id = %self.endpoint,
                "the receiver did not take a request, which is sent again on another connection: {}",
                failure.error.message
            );
        }
    }

    async fn send_on(
        &self,
        connection: CheckedOut,
        request: &Request<Bytes>,
        phase: &Arc<CurrentPhase>,
    ) -> Result<RawAnswer, SendFailure> {
        match connection {
            CheckedOut::Http2(slot) => slot.send(request, phase).await,
            CheckedOut::Http1(connection) => {
                let uri = request.uri();
                let target = if self.whole_target {
                    uri.to_string()
                } else {
                    uri.path_and_query().map_or("/", |target| target.as_str()).to_owned()
                };
                let head = request_head(request, &target, request.body().len());
                let sent = connection.send(head, request.body().clone(), Arc::clone(phase)).await;
                let (answer, connection) = sent?;
                // A receiver that says that it is the wrong one for this connection is asked on another one.
                if let Some(connection) = connection.filter(|_| answer.status != StatusCode::MISDIRECTED_REQUEST) {
                    self.pool.check_in(connection);
                }
                Ok(answer)
            }
        }
    }

    fn to_response(&self, answer: RawAnswer) -> ReceiverResponse {
        let RawAnswer { status, headers, body } = answer;
        ReceiverResponse {
            status: status.as_u16(),
            redirect_to: if status.is_redirection() { redirect_target(&self.url, &headers) } else { None },
            retry_after: if asks_for_patience(status) { RetryAfter::from_headers(&headers) } else { None },
            headers,
            body,
        }
    }

    fn dial_failed(&self, error: &CheckoutError) -> ExchangeError {
        match error {
            CheckoutError::Dial(error) if error.is_about_network() => {
                self.without_network_details(error.to_exchange_error())
            }
            CheckoutError::Dial(error) => error.to_exchange_error(),
            CheckoutError::Handshake(error) => ExchangeError {
                class: FailureClass::Reset,
                phase: FailurePhase::Send,
                message: format!("the HTTP/2 connection could not begin: {error}"),
            },
        }
    }

    /// A caller that may make endpoints must not learn which names and addresses the operator's network has: for them there is
    /// one text. The operator reads the detail in the log.
    fn without_network_details(&self, error: ExchangeError) -> ExchangeError {
        if !self.pool.dialer.guard.is_active() || error.phase != FailurePhase::Dns {
            return error;
        }
        tracing::warn!(endpoint.id = %self.endpoint, "A webhook's host was not reached: {}", error.message);
        ExchangeError {
            // Only an address that is forbidden stays so: a name may resolve again.
            class: if error.class == FailureClass::Forbidden { error.class } else { FailureClass::Unresolved },
            phase: FailurePhase::Dns,
            message: format!(
                "there is no such host, or webhooks may not go there; the operator's log says which, and \
                 {ALLOWED_NETWORKS} can open a network"
            ),
        }
    }
}

fn redirect_target(url: &Url, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    Some(origin(&url.join(location).ok()?))
}

fn asks_for_patience(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE
}

/// Scheme, host and port. A path may be a secret.
fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

#[cfg(test)]
mod tests;

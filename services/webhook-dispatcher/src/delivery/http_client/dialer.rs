//! Makes connections: name, address, proxy, TLS. Each step takes its limit from the attempt's deadline.
//!
//! The addresses of a host are tried as RFC 8305 says: each a quarter of a second after the one before, and the first that
//! accepts is used. An address whose TLS fails is followed by the others.

use crate::delivery::{
    current_phase::CurrentPhase,
    guard::{AddressGuard, ForbiddenAddress},
    http_client::{
        address_queue::{AddressQueue, NoAddress},
        proxy::ProxyServer,
        work_meter::{MeteredStream, WorkMeter},
    },
    outcome::{ExchangeError, FailureClass, FailurePhase},
    resolver::{NameResolver, ResolveError},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use kurir_chassis::proxy_tunnel::{ProxyTunnelError, open_tunnel};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_rustls::TlsConnector;

/// RFC 8305, 5: the time after which the next address is tried as well.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// RFC 8305, 3: how long addresses of the other family wait for those of the preferred one.
const WAIT_FOR_V4: Duration = Duration::from_millis(50);

/// A connection on which HTTP is spoken.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection that was made.
pub struct DialedConnection {
    pub stream: Box<dyn ByteStream>,
    pub meter: Arc<WorkMeter>,
    pub is_http2: bool,
    pub address: IpAddr,
    /// The state of the resolver's files when the name was looked up.
    pub generation: u64,
}

/// TLS, for a URL with https.
pub struct TlsSettings {
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have; in the greeting, too.
    pub server_name: ServerName<'static>,
}

/// Makes connections to one receiver.
pub struct Dialer {
    pub host: String,
    pub port: u16,
    pub guard: AddressGuard,
    pub resolver: NameResolver,
    pub tls: Option<TlsSettings>,
    pub proxy: Option<ProxyServer>,
    /// The address that failed last.
    pub doubtful: Mutex<Option<IpAddr>>,
}

#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{0}")]
    Forbidden(#[from] ForbiddenAddress),
    #[error("{0}")]
    Unresolved(#[from] ResolveError),
    #[error("{0}")]
    Connect(io::Error),
    #[error("{0}")]
    Proxy(#[from] ProxyTunnelError),
    #[error("{0}")]
    Tls(io::Error),
    /// An address accepted a connection and took its share of the time limit in this phase.
    #[error("the step {} did not end within its share of the time limit", .0.as_str())]
    SecureTimeout(FailurePhase),
}

impl Dialer {
    /// Makes a connection. The caller ends it at `until`; a step that has alternatives gets a part of the time.
    ///
    /// # Errors
    /// Of the step that failed; `phase` names it.
    pub async fn dial(&self, phase: &CurrentPhase, until: Instant) -> Result<DialedConnection, DialError> {
        phase.set(FailurePhase::Dns);
        let generation = self.resolver.generation();
        let mut addresses = self.addresses().await?;
        let mut failed = None;
        loop {
            let (tcp, address) = match connect_first(&mut addresses, phase).await {
                Ok(connected) => connected,
                Err(error) => {
                    return Err(match failed.or(error.map(DialError::Connect)) {
                        Some(error) => error,
                        None => no_address(addresses, &self.host),
                    });
                }
            };
            let has_others = addresses.has_next() || addresses.is_growing();
            let limit = if has_others { halfway_to(until) } else { until };
            let secured = timeout_at(limit, self.secure(tcp, phase)).await;
            match secured.unwrap_or_else(|_| Err(DialError::SecureTimeout(phase.get()))) {
                Ok((stream, meter, is_http2)) => {
                    return Ok(DialedConnection { stream, meter, is_http2, address: address.ip(), generation });
                }
                // The error of the first address is reported if no other one is better.
                Err(error) => {
                    self.mark_doubtful(address.ip());
                    failed.get_or_insert(error);
                }
            }
        }
    }

    /// Remembers an address that accepted a connection and then failed: the next connection tries the others first.
    pub fn mark_doubtful(&self, address: IpAddr) {
        *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    async fn addresses(&self) -> Result<AddressQueue, DialError> {
        let doubtful = *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(proxy) = &self.proxy else {
            return Ok(AddressQueue::for_host(&self.host, self.port, self.guard.clone(), &self.resolver, doubtful));
        };
        if self.guard.is_active() {
            self.check_before_proxy().await?;
        }
        Ok(AddressQueue::for_host(&proxy.host, proxy.port, proxy.guard.clone(), &self.resolver, doubtful))
    }

    /// The proxy resolves the name itself. What this machine knows of it must not be forbidden.
    async fn check_before_proxy(&self) -> Result<(), DialError> {
        let mut addresses = AddressQueue::for_host(&self.host, self.port, self.guard.clone(), &self.resolver, None);
        while addresses.is_growing() {
            addresses.grow().await;
        }
        if addresses.has_next() {
            return Ok(());
        }
        match addresses.into_reason() {
            Some(NoAddress::Forbidden(forbidden)) => Err(forbidden.into()),
            Some(NoAddress::Unresolved(_)) | None => Ok(()),
        }
    }

    async fn secure(
        &self,
        tcp: TcpStream,
        phase: &CurrentPhase,
    ) -> Result<(Box<dyn ByteStream>, Arc<WorkMeter>, bool), DialError> {
        // Small requests must not wait for acknowledgements. If it fails, they do.
        let _ = tcp.set_nodelay(true);
        let (stream, meter) = MeteredStream::new(tcp);
        let mut stream: Box<dyn ByteStream> = Box::new(stream);
        let Some(tls) = &self.tls else { return Ok((stream, meter, false)) };
        if let Some(proxy) = &self.proxy {
            open_tunnel(&mut stream, &self.host, self.port, proxy.authorization.as_ref()).await?;
        }
        phase.set(FailurePhase::Tls);
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let stream = connector.connect(tls.server_name.clone(), stream).await.map_err(DialError::Tls)?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(stream), meter, is_http2))
    }
}

/// Connects to the first address that accepts. The error is that of the last address, or none if there was no address.
async fn connect_first(
    addresses: &mut AddressQueue,
    phase: &CurrentPhase,
) -> Result<(TcpStream, SocketAddr), Option<io::Error>> {
    let mut connecting = FuturesUnordered::new();
    let mut error = None;
    let mut next_at = Instant::now();
    let mut waited_for_v4 = false;
    loop {
        if addresses.has_next() && addresses.lacks_v4() && !waited_for_v4 {
            waited_for_v4 = true;
            next_at = next_at.max(Instant::now() + WAIT_FOR_V4);
        }
        if waited_for_v4 && !addresses.lacks_v4() && connecting.is_empty() {
            next_at = Instant::now();
        }
        if next_at <= Instant::now()
            && let Some(address) = addresses.next()
        {
            phase.set(FailurePhase::Connect);
            connecting.push(async move { (TcpStream::connect(address).await, address) });
            next_at = Instant::now() + NEXT_ADDRESS_AFTER;
        }
        if connecting.is_empty() && !addresses.has_next() && !addresses.is_growing() {
            return Err(error);
        }
        tokio::select! {
            Some((connected, address)) = connecting.next(), if !connecting.is_empty() => match connected {
                Ok(tcp) => return Ok((tcp, address)),
                Err(refused) => {
                    error = Some(refused);
                    next_at = Instant::now();
                }
            },
            () = addresses.grow(), if addresses.is_growing() => {}
            () = sleep_until(next_at), if addresses.has_next() => {}
        }
    }
}

fn halfway_to(until: Instant) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / 2
}

fn no_address(addresses: AddressQueue, host: &str) -> DialError {
    match addresses.into_reason() {
        Some(NoAddress::Forbidden(forbidden)) => forbidden.into(),
        Some(NoAddress::Unresolved(error)) => error.into(),
        None => ResolveError::NoSuchHost { host: host.to_owned() }.into(),
    }
}

impl DialError {
    /// Whether it says something about the network of this machine: which names and addresses there are.
    #[must_use]
    pub fn is_about_network(&self) -> bool {
        matches!(self, Self::Forbidden(_) | Self::Unresolved(_))
    }

    #[must_use]
    pub fn to_exchange_error(&self) -> ExchangeError {
        let (class, phase) = match self {
            Self::Forbidden(_) => (FailureClass::Forbidden, FailurePhase::Dns),
            Self::Unresolved(_) => (FailureClass::Connect, FailurePhase::Dns),
            Self::Connect(_) | Self::Proxy(_) => (FailureClass::Connect, FailurePhase::Connect),
            Self::Tls(_) => (FailureClass::Tls, FailurePhase::Tls),
            // The phase of the address that failed: others may have been tried since.
            Self::SecureTimeout(phase) => (FailureClass::Timeout, *phase),
        };
        ExchangeError { class, phase, message: self.to_string() }
    }
}

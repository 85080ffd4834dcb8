//! Resolves a host's name to its addresses, and to none where webhooks must not go.
//!
//! The guard checks the addresses that are connected to, at each new connection: a name whose addresses change after an
//! earlier check does not pass it. DNS answers are kept as long as they allow. A name is looked up as the system's own
//! resolver does it: the hosts file first, then the servers and the search list of `/etc/resolv.conf`.

use futures::future::BoxFuture;
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use kurir_contract::address_guard::{ALLOWED_NETWORKS, NetworkList, forbidden_kind};
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
    vec,
};
use tower_service::Service;

/// How long it is believed that a name does not exist. A name that a user has just made is found at the next retry; its
/// zone would often say an hour.
const NEGATIVE_TTL_CAP: Duration = Duration::from_secs(30);

/// An address where webhooks must not go.
#[derive(Debug, thiserror::Error)]
#[error("{address} is {kind}, where no webhook may go; {ALLOWED_NETWORKS} can open it")]
pub struct ForbiddenAddress {
    address: IpAddr,
    kind: &'static str,
}

/// A name without addresses, or no name server that answers.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no host {host}")]
    NoSuchHost { host: String },
    /// The cause is part of this text, because only the last of a chain of causes is shown.
    #[error("the host {host} could not be looked up: {why}")]
    Failed { host: String, why: String },
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Looks up names and caches the answers. All endpoints share it; a clone is the same cache.
#[derive(Clone)]
pub struct DnsCache(Arc<DnsInner>);

struct DnsInner {
    make: Box<dyn Fn() -> Result<TokioResolver, NetError> + Send + Sync>,
    /// None until it is needed.
    resolver: Mutex<Option<CachedResolver>>,
}

struct CachedResolver {
    resolver: TokioResolver,
    settings: ResolverFiles,
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// When the files that a resolver is made from were last written.
#[derive(PartialEq, Eq)]
struct ResolverFiles([Option<SystemTime>; 2]);

impl ResolverFiles {
    fn now() -> Self {
        let written = |file| std::fs::metadata(file).and_then(|file| file.modified()).ok();
        Self([RESOLV_CONF, HOSTS].map(written))
    }
}

impl DnsCache {
    /// Looks up names as this system does.
    #[must_use]
    pub fn from_system() -> Self {
        Self::with_factory(|| {
            let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
                // As libc does it: a small image has no such file, and may need none.
                tracing::debug!(
                    "failed to read {RESOLV_CONF}, a name server on this machine is asked instead: {error}"
                );
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                let config = ResolverConfig::from_name_servers(vec![local]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            });
            configure(builder).build()
        })
    }

    /// Asks one server, and no hosts file.
    #[cfg(test)]
    pub fn with_server(server: SocketAddr) -> Self {
        use hickory_resolver::config::{ConnectionConfig, ResolveHosts};
        Self::with_factory(move || {
            let mut udp = ConnectionConfig::udp();
            udp.port = server.port();
            let config = ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, vec![udp])]);
            let mut builder = configure(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()));
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder.build()
        })
    }

    fn with_factory(make: impl Fn() -> Result<TokioResolver, NetError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(DnsInner { make: Box::new(make), resolver: Mutex::new(None) }))
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let failed = |error: &NetError| ResolveError::Failed { host: host.to_owned(), why: error.to_string() };
        let resolver = self.resolver().map_err(|error| failed(&error))?;
        let error = match resolver.lookup_ip(host).await {
            Ok(found) => return Ok(found.iter().collect()),
            Err(error) => error,
        };
        self.drop_stale_resolver();
        if error.is_nx_domain() || error.is_no_records_found() {
            Err(ResolveError::NoSuchHost { host: host.to_owned() })
        } else {
            Err(failed(&error))
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut made = self.0.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.resolver.clone());
        }
        let new = CachedResolver { resolver: (self.0.make)()?, settings: ResolverFiles::now() };
        Ok(made.insert(new).resolver.clone())
    }

    /// Drops a resolver whose files have changed: a new network brought other name servers, or a user has added a host.
    /// Checked only after a lookup has failed.
    fn drop_stale_resolver(&self) {
        let mut made = self.0.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        made.take_if(|made| made.settings != ResolverFiles::now());
    }
}

fn configure(
    mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
) -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let options: &mut ResolverOpts = builder.options_mut();
    // Both families are asked for at once. IPv4 is tried first: where IPv6 leads nowhere, as in many container
    // networks, each connection would start with a wait. The connector starts with the other family 0.3 s later.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.negative_max_ttl = Some(NEGATIVE_TTL_CAP);
    builder
}

/// Where an endpoint's connections may go. Without networks, anywhere: the URL is the operator's own.
#[derive(Clone)]
pub struct AddressGuard(Option<Arc<NetworkList>>);

impl AddressGuard {
    fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        match self.0.as_deref().and_then(|allowed| forbidden_kind(address, allowed)) {
            Some(kind) => Err(ForbiddenAddress { address, kind }),
            None => Ok(()),
        }
    }
}

/// Resolves names to addresses that may be connected to.
#[derive(Clone)]
pub struct GuardedResolver {
    dns: DnsCache,
    guard: AddressGuard,
}

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { dns, guard } = self.clone();
        Box::pin(async move {
            let mut refused = None;
            let found = dns.look_up(name.as_str()).await?;
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|&address| guard.check(address).map_err(|why| refused = Some(why)).is_ok())
                // The URL has the port.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            match refused {
                // A forbidden address among others is left out.
                Some(why) if allowed.is_empty() => Err(why.into()),
                Some(_) | None => Ok(allowed.into_iter()),
            }
        })
    }
}

/// Makes TCP connections to where webhooks may go.
#[derive(Clone)]
pub struct GuardedConnector {
    tcp: HttpConnector<GuardedResolver>,
    guard: AddressGuard,
}

impl GuardedConnector {
    /// `guard`: the private networks that the operator allows, for an endpoint that is guarded.
    #[must_use]
    pub fn new(dns: DnsCache, guard: Option<NetworkList>, timeout: Duration) -> Self {
        let guard = AddressGuard(guard.map(Arc::new));
        let mut tcp = HttpConnector::new_with_resolver(GuardedResolver { dns, guard: guard.clone() });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, guard }
    }
}

impl Service<http::Uri> for GuardedConnector {
    type Response = <HttpConnector<GuardedResolver> as Service<http::Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        // hyper does not ask the resolver about a literal address.
        let literal = uri.host().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if let Some(Err(why)) = literal.map(|address| self.guard.check(address)) {
            return Box::pin(std::future::ready(Err(why.into())));
        }
        let connecting = self.tcp.call(uri);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

//! From a host's name to its addresses, and no further than webhooks may go.
//!
//! The guard looks at the addresses that are then connected to, at each new connection: a name that changes its mind
//! after it was looked at elsewhere, or between two deliveries, changes nothing. Answers of DNS are kept for as long as
//! they say. A name is looked up as the system's own resolver would: the hosts file first, then the servers and the
//! search list of `/etc/resolv.conf`.

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

/// That a name does not exist is believed no longer: one that a user has just made is to be found at the next retry,
/// not when its zone says so, which is often an hour later.
const NEGATIVE_TTL_CAP: Duration = Duration::from_secs(30);

/// An address where webhooks must not go.
#[derive(Debug, thiserror::Error)]
#[error("{address} is {kind}, where no webhook may go; {ALLOWED_NETWORKS} can open it")]
pub struct Forbidden {
    address: IpAddr,
    kind: &'static str,
}

/// A name without addresses, or nobody there to ask.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error("there is no host {host}")]
    NoSuchHost { host: String },
    /// Its text stands in ours, and not behind it: the last of a chain of causes is shown.
    #[error("the host {host} could not be looked up: {why}")]
    Failed { host: String, why: String },
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Looks up names, and remembers. Shared by all endpoints; a clone is the same.
#[derive(Clone)]
pub struct Dns(Arc<Shared>);

struct Shared {
    make: Box<dyn Fn() -> Result<TokioResolver, NetError> + Send + Sync>,
    /// None until it is needed.
    resolver: Mutex<Option<Made>>,
}

struct Made {
    resolver: TokioResolver,
    settings: Settings,
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// When the files that a resolver is made from were written.
#[derive(PartialEq, Eq)]
struct Settings([Option<SystemTime>; 2]);

impl Settings {
    fn now() -> Self {
        let written = |file| std::fs::metadata(file).and_then(|file| file.modified()).ok();
        Self([RESOLV_CONF, HOSTS].map(written))
    }
}

impl Dns {
    /// As this system looks up names.
    #[must_use]
    pub fn of_the_system() -> Self {
        Self::made_by(|| {
            let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
                // As libc does: a small image has no such file, and may need none.
                tracing::debug!("{RESOLV_CONF} could not be read, a name server on this machine is asked: {error}");
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                let config = ResolverConfig::from_name_servers(vec![local]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            });
            with_our_options(builder).build()
        })
    }

    /// Asks one server, and no hosts file.
    #[cfg(test)]
    pub fn asking(server: SocketAddr) -> Self {
        use hickory_resolver::config::{ConnectionConfig, ResolveHosts};
        Self::made_by(move || {
            let mut udp = ConnectionConfig::udp();
            udp.port = server.port();
            let config = ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, vec![udp])]);
            let mut builder =
                with_our_options(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()));
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder.build()
        })
    }

    fn made_by(make: impl Fn() -> Result<TokioResolver, NetError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { make: Box::new(make), resolver: Mutex::new(None) }))
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let failed = |error: &NetError| Unresolved::Failed { host: host.to_owned(), why: error.to_string() };
        let resolver = self.resolver().map_err(|error| failed(&error))?;
        let error = match resolver.lookup_ip(host).await {
            Ok(found) => return Ok(found.iter().collect()),
            Err(error) => error,
        };
        self.forget_old_settings();
        if error.is_nx_domain() || error.is_no_records_found() {
            Err(Unresolved::NoSuchHost { host: host.to_owned() })
        } else {
            Err(failed(&error))
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut made = self.0.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.resolver.clone());
        }
        let new = Made { resolver: (self.0.make)()?, settings: Settings::now() };
        Ok(made.insert(new).resolver.clone())
    }

    /// A network that came later brought its own name servers, or a user has just written a host into the file. Looked
    /// at only where a lookup has failed.
    fn forget_old_settings(&self) {
        let mut made = self.0.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        made.take_if(|made| made.settings != Settings::now());
    }
}

fn with_our_options(
    mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
) -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let options: &mut ResolverOpts = builder.options_mut();
    // Both are asked for at once. IPv4 is tried first: where IPv6 leads nowhere, as in many a container network, each
    // connection would begin with a wait. The connector begins with the other family 0.3 s later.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.negative_max_ttl = Some(NEGATIVE_TTL_CAP);
    builder
}

/// Where an endpoint's connections may go. Without networks, anywhere: the URL is the operator's own.
#[derive(Clone)]
pub struct Guard(Option<Arc<NetworkList>>);

impl Guard {
    fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        match self.0.as_deref().and_then(|allowed| forbidden_kind(address, allowed)) {
            Some(kind) => Err(Forbidden { address, kind }),
            None => Ok(()),
        }
    }
}

/// Names to addresses that may be connected to.
#[derive(Clone)]
pub struct Resolver {
    dns: Dns,
    guard: Guard,
}

impl Service<Name> for Resolver {
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
                // The port is the URL's.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            match refused {
                // One forbidden address among others is only left out.
                Some(why) if allowed.is_empty() => Err(why.into()),
                Some(_) | None => Ok(allowed.into_iter()),
            }
        })
    }
}

/// TCP connections to where webhooks may go.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector<Resolver>,
    guard: Guard,
}

impl Connector {
    /// `guard`: the networks that the operator opened, for an endpoint that is guarded.
    #[must_use]
    pub fn new(dns: Dns, guard: Option<NetworkList>, timeout: Duration) -> Self {
        let guard = Guard(guard.map(Arc::new));
        let mut tcp = HttpConnector::new_with_resolver(Resolver { dns, guard: guard.clone() });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, guard }
    }
}

impl Service<http::Uri> for Connector {
    type Response = <HttpConnector<Resolver> as Service<http::Uri>>::Response;
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

//! The addresses of a host, as its names are resolved: IPv4 and IPv6 in turn, and only those that the guard admits.

use crate::delivery::{
    guard::{AddressGuard, ForbiddenAddress},
    resolver::{AddressFamily, NameResolver, ResolveError},
};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

type FamilyLookup = BoxFuture<'static, (AddressFamily, Result<Vec<SocketAddr>, ResolveError>)>;

/// The addresses of a host that were not tried yet.
pub struct AddressQueue {
    port: u16,
    guard: AddressGuard,
    v4: VecDeque<SocketAddr>,
    v6: VecDeque<SocketAddr>,
    /// Tried after all others, because it failed last time.
    doubtful: Option<IpAddr>,
    last: VecDeque<SocketAddr>,
    lookups: FuturesUnordered<FamilyLookup>,
    waits_for_v4: bool,
    v6_is_next: bool,
    forbidden: Option<ForbiddenAddress>,
    failure: Option<ResolveError>,
}

/// Why a host has no address to connect to.
#[derive(Debug)]
pub enum NoAddress {
    Forbidden(ForbiddenAddress),
    Unresolved(ResolveError),
}

impl AddressQueue {
    /// `doubtful`: an address that failed last time.
    pub fn for_host(
        host: &str,
        port: u16,
        guard: AddressGuard,
        resolver: &NameResolver,
        doubtful: Option<IpAddr>,
    ) -> Self {
        let mut queue = Self {
            port,
            guard,
            v4: VecDeque::new(),
            v6: VecDeque::new(),
            doubtful,
            last: VecDeque::new(),
            lookups: FuturesUnordered::new(),
            waits_for_v4: false,
            v6_is_next: false,
            forbidden: None,
            failure: None,
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            queue.add(vec![SocketAddr::new(address, port)]);
            return queue;
        }
        for &family in resolver.families(host) {
            let (resolver, host) = (resolver.clone(), host.to_owned());
            queue.waits_for_v4 |= family == AddressFamily::V4;
            queue.lookups.push(Box::pin(async move { (family, resolver.resolve(host, family).await) }));
        }
        queue
    }

    /// Whether a lookup is under way.
    pub fn is_growing(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Whether an address waits to be tried. IPv6 addresses that came first wait for IPv4 for a moment.
    pub fn has_next(&self) -> bool {
        !(self.v4.is_empty() && self.v6.is_empty()) || (!self.is_growing() && !self.last.is_empty())
    }

    /// Whether only IPv6 addresses are known and the answer for IPv4 is missing.
    pub fn lacks_v4(&self) -> bool {
        self.waits_for_v4 && self.v4.is_empty()
    }

    /// Waits for the next answer of a lookup; never ends without a lookup under way.
    pub async fn grow(&mut self) {
        match self.lookups.next().await {
            Some((family, result)) => {
                self.waits_for_v4 &= family != AddressFamily::V4;
                match result {
                    Ok(addresses) => self.add(addresses),
                    // A server that fails says less than one that knows that there is no such host, unless it is alone.
                    Err(error) => {
                        let is_failure = matches!(error, ResolveError::Failed { .. });
                        if self.failure.is_none() || is_failure {
                            self.failure = Some(error);
                        }
                    }
                }
            }
            None => std::future::pending().await,
        }
    }

    /// The next address to try. IPv4 is first: where IPv6 leads nowhere, as in many container networks, each connection
    /// would begin with a wait.
    pub fn next(&mut self) -> Option<SocketAddr> {
        let (first, second) = if self.v6_is_next { (&mut self.v6, &mut self.v4) } else { (&mut self.v4, &mut self.v6) };
        let next = first.pop_front().or_else(|| second.pop_front());
        if let Some(next) = next {
            self.v6_is_next = next.is_ipv4();
            return Some(next);
        }
        if self.is_growing() { None } else { self.last.pop_front() }
    }

    /// Why there was no address; none if there was one.
    pub fn into_reason(self) -> Option<NoAddress> {
        match (self.forbidden, self.failure) {
            (Some(forbidden), _) => Some(NoAddress::Forbidden(forbidden)),
            (None, Some(error)) => Some(NoAddress::Unresolved(error)),
            (None, None) => None,
        }
    }

    fn add(&mut self, addresses: Vec<SocketAddr>) {
        for mut address in addresses {
            if let Err(forbidden) = self.guard.check(address.ip()) {
                self.forbidden = Some(forbidden);
                continue;
            }
            address.set_port(self.port);
            if Some(address.ip()) == self.doubtful {
                self.last.push_back(address);
            } else if address.is_ipv4() {
                self.v4.push_back(address);
            } else {
                self.v6.push_back(address);
            }
        }
    }
}

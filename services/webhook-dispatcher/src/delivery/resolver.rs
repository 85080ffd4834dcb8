//! Resolves names as this system does: with its own `getaddrinfo`.
//!
//! `docs/decisions/0021-names-as-the-system-resolves-them.md` gives the reasons. `getaddrinfo` blocks, so each call has a
//! thread of its own, and their number is bounded. Callers that ask for the same name share one call. An answer is kept
//! for some seconds, and no longer than the files that it may come from stay as they are.
//!
//! IPv4 and IPv6 are asked for separately, so that one does not wait for the other. A name of the hosts file is looked up
//! for both at once: if it has an address of one family there, the system asks nobody for the other.

use crate::delivery::resolver_files::ResolverFiles;
use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

/// How long the answers of lookups are kept.
#[derive(Clone, Copy, Debug)]
pub struct CacheTimes {
    addresses: Duration,
    no_host: Duration,
    failure: Duration,
}

impl CacheTimes {
    /// `getaddrinfo` does not say how long addresses are valid, and the resolver that it asks has a cache of its own:
    /// five seconds are for receivers that get many connections a second. That a name does not exist is believed for a
    /// second, because the first retry comes after two. A name whose servers did not answer is left alone for three:
    /// each lookup holds a thread meanwhile.
    const USUAL: Self =
        Self { addresses: Duration::from_secs(5), no_host: Duration::from_secs(1), failure: Duration::from_secs(3) };
    #[cfg(test)]
    pub const NONE: Self = Self { addresses: Duration::ZERO, no_host: Duration::ZERO, failure: Duration::ZERO };
}

/// Lookups at once of names that gave no trouble yet. Each is a thread that mostly waits.
const MAX_LOOKUPS: usize = 64;
/// Lookups at once of names that failed the last time. They may wait for each other, but nobody waits for them.
const MAX_DOUBTFUL_LOOKUPS: usize = 16;
/// Lookups at once of names in the hosts file. They ask no server.
const MAX_HOSTS_LOOKUPS: usize = 16;
/// `getaddrinfo` and its modules need some ten kilobytes; a part that is not used costs nothing.
const STACK: usize = 512 * 1024;
/// Names that are remembered. Beyond this number those that are out of date are dropped.
const MAX_NAMES: usize = 4_096;
/// How often a lookup is made again because the files changed while it was under way.
const MAX_CHANGES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    V4,
    V6,
    Both,
}

/// A name without addresses, or no name server that answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no host {host}")]
    NoSuchHost { host: String },
    #[error("the host {host} could not be looked up: {why}")]
    Failed { host: String, why: String },
}

/// Addresses with port 0; an IPv6 address may name an interface.
type LookupResult = Result<Vec<SocketAddr>, ResolveError>;
type SharedLookup = Shared<BoxFuture<'static, (Instant, LookupResult)>>;
type LookupFunction = dyn Fn(&str, AddressFamily) -> LookupResult + Send + Sync;

/// Looks up names and keeps the answers for some seconds. All endpoints share it; a clone is the same cache.
#[derive(Clone)]
pub struct NameResolver(Arc<ResolverInner>);

struct ResolverInner {
    look_up: Arc<LookupFunction>,
    files: ResolverFiles,
    times: CacheTimes,
    names: Mutex<HashMap<(String, AddressFamily), CachedName>>,
    slots: LookupSlots,
}

struct LookupSlots {
    usual: Arc<Semaphore>,
    doubtful: Arc<Semaphore>,
    hosts: Arc<Semaphore>,
}

struct CachedName {
    lookup: SharedLookup,
    /// The state of the files when the lookup began.
    generation: u64,
}

impl NameResolver {
    /// Looks up names as this system does.
    #[must_use]
    pub fn from_system() -> Self {
        Self::with_function(ResolverFiles::of_system(), CacheTimes::USUAL, look_up_in_system)
    }

    pub fn with_function(
        files: ResolverFiles,
        times: CacheTimes,
        look_up: impl Fn(&str, AddressFamily) -> LookupResult + Send + Sync + 'static,
    ) -> Self {
        let slots = |count| Arc::new(Semaphore::new(count));
        Self(Arc::new(ResolverInner {
            look_up: Arc::new(look_up),
            files,
            times,
            names: Mutex::default(),
            slots: LookupSlots {
                usual: slots(MAX_LOOKUPS),
                doubtful: slots(MAX_DOUBTFUL_LOOKUPS),
                hosts: slots(MAX_HOSTS_LOOKUPS),
            },
        }))
    }

    /// Changes when the hosts file or the resolver's settings change. A connection that was made before may lead
    /// elsewhere than a new one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.files.generation()
    }

    /// The families to ask for separately.
    #[must_use]
    pub fn families(&self, host: &str) -> &'static [AddressFamily] {
        if self.0.files.has_host(host) { &[AddressFamily::Both] } else { &[AddressFamily::V4, AddressFamily::V6] }
    }

    /// # Errors
    /// If the name has no address of this family, or if no server answers.
    pub async fn resolve(&self, host: String, family: AddressFamily) -> LookupResult {
        let mut changes = 0;
        loop {
            let generation = self.generation();
            let (_, result) = self.shared_lookup(&host, family, generation).await;
            changes += 1;
            if generation == self.generation() || changes == MAX_CHANGES {
                return result;
            }
        }
    }

    fn shared_lookup(&self, host: &str, family: AddressFamily, generation: u64) -> SharedLookup {
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_owned(), family);
        let known = names.get(&key);
        if let Some(known) = known.filter(|known| known.is_fresh(generation, &self.0.times)) {
            return known.lookup.clone();
        }
        let is_doubtful = known.and_then(|known| known.lookup.peek()).is_some_and(|(_, result)| has_failed(result));
        let slots = &self.0.slots;
        let slots = match family {
            AddressFamily::Both => &slots.hosts,
            AddressFamily::V4 | AddressFamily::V6 if is_doubtful => &slots.doubtful,
            AddressFamily::V4 | AddressFamily::V6 => &slots.usual,
        };
        let lookup = look_up_on_thread(Arc::clone(&self.0.look_up), Arc::clone(slots), host.to_owned(), family);
        let lookup = lookup.boxed().shared();
        if names.len() >= MAX_NAMES {
            names.retain(|_, name| name.is_fresh(generation, &self.0.times));
        }
        names.insert(key, CachedName { lookup: lookup.clone(), generation });
        lookup
    }
}

impl CachedName {
    /// Whether the answer can be used, or is on its way.
    fn is_fresh(&self, generation: u64, times: &CacheTimes) -> bool {
        self.generation == generation
            && self.lookup.peek().is_none_or(|(at, result)| {
                at.elapsed()
                    < match result {
                        Ok(_) => times.addresses,
                        Err(ResolveError::NoSuchHost { .. }) => times.no_host,
                        Err(ResolveError::Failed { .. }) => times.failure,
                    }
            })
    }
}

fn has_failed(result: &LookupResult) -> bool {
    matches!(result, Err(ResolveError::Failed { .. }))
}

async fn look_up_on_thread(
    look_up: Arc<LookupFunction>,
    slots: Arc<Semaphore>,
    host: String,
    family: AddressFamily,
) -> (Instant, LookupResult) {
    let failed = |why: String| Err(ResolveError::Failed { host: host.clone(), why });
    // The semaphore is never closed.
    let Ok(slot) = slots.acquire_owned().await else { return (Instant::now(), failed("no more lookups".to_owned())) };
    let (sender, result) = oneshot::channel();
    let name = host.clone();
    // Not one of tokio's threads: at the end of the process those are waited for.
    let thread = thread::Builder::new().name("name-lookup".to_owned()).stack_size(STACK).spawn(move || {
        let result = look_up(&name, family);
        drop(slot);
        let _ = sender.send(result);
    });
    let result = match thread {
        Ok(_) => result.await.unwrap_or_else(|_| failed("the lookup ended without an answer".to_owned())),
        Err(error) => failed(format!("no thread for the lookup: {error}")),
    };
    (Instant::now(), result)
}

/// The number of `EAI_ADDRFAMILY` in glibc: the host has addresses, but none of this family.
const NO_ADDRESS_OF_FAMILY: i32 = -9;

fn look_up_in_system(host: &str, family: AddressFamily) -> LookupResult {
    let hints = AddrInfoHints {
        address: match family {
            AddressFamily::V4 => AddrFamily::Inet.into(),
            AddressFamily::V6 => AddrFamily::Inet6.into(),
            AddressFamily::Both => 0,
        },
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let no_such_host = || ResolveError::NoSuchHost { host: host.to_owned() };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(|error| match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => no_such_host(),
        _ if error.error_num() == NO_ADDRESS_OF_FAMILY => no_such_host(),
        _ => ResolveError::Failed { host: host.to_owned(), why: std::io::Error::from(error).to_string() },
    })?;
    let addresses: Vec<_> = found.filter_map(Result::ok).map(|address| address.sockaddr).collect();
    if addresses.is_empty() { Err(no_such_host()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests;

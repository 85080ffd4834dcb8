//! The connections to one receiver: which of them takes a request, and when a new one is made.
//!
//! HTTP/1 has a connection for each request under way, and keeps them for the next ones. HTTP/2 shares connections; the
//! second is made when the receiver allows no more requests on the first.

use crate::delivery::{
    current_phase::CurrentPhase,
    http_client::{
        dialer::{DialError, Dialer},
        http1::Http1Connection,
        http2::{Http2Connection, StreamSlot},
        idle_connections::IdleConnections,
    },
    outcome::FailurePhase,
};
use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A name may lead elsewhere after some time, so no connection is used for longer.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// A request that waited for a connection begins none of its own with less time than this part of its wait: its failure would be
/// named after the beginning of a connection instead of the step that took the time.
const LEAST_PART_TO_DIAL: u32 = 10;

/// A connection that takes one request now.
pub enum CheckedOut {
    Http1(Http1Connection),
    Http2(StreamSlot),
}

/// A connection, and whether it was made for this request.
pub struct Checkout {
    pub connection: CheckedOut,
    /// The address of a connection that was made for this request.
    pub dialed: Option<IpAddr>,
}

pub struct ConnectionPool {
    pub dialer: Dialer,
    /// The most connections: as many as there are requests at once.
    limit: usize,
    idle: IdleConnections,
    shared: Mutex<Vec<Arc<Http2Connection>>>,
    /// Held while a connection is made that others may share.
    dialing: tokio::sync::Mutex<()>,
    dial_phase: CurrentPhase,
    /// Whether the receiver speaks HTTP/1 over TLS: then each request needs a connection of its own.
    speaks_http1: AtomicBool,
    changed: Arc<Notify>,
}

/// Why no connection can be had.
pub enum CheckoutError {
    Dial(DialError),
    Handshake(h2::Error),
}

impl From<DialError> for CheckoutError {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

impl ConnectionPool {
    #[must_use]
    pub fn new(dialer: Dialer, limit: usize) -> Self {
        Self {
            dialer,
            limit: limit.max(1),
            idle: IdleConnections::default(),
            shared: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
            dial_phase: CurrentPhase::new(FailurePhase::Dns),
            speaks_http1: AtomicBool::new(false),
            changed: Arc::default(),
        }
    }

    /// The step that the connection in the making has reached, for requests that wait for it.
    #[must_use]
    pub fn dial_phase(&self) -> FailurePhase {
        self.dial_phase.get()
    }

    /// A connection for one request. `is_fresh`: the request was lost on a connection that was used before, so none that
    /// lay idle is taken.
    pub async fn check_out(
        &self,
        phase: &CurrentPhase,
        waits: &AtomicBool,
        until: Instant,
        is_fresh: bool,
    ) -> Result<Checkout, CheckoutError> {
        if let Some(connection) = self.take(is_fresh) {
            return Ok(Checkout { connection, dialed: None });
        }
        // Boxed, because it is rare: the future of a delivery is moved for every event and should be small.
        Box::pin(self.connect(phase, waits, until, is_fresh)).await
    }

    /// Makes a connection, or waits for one that is being made.
    async fn connect(
        &self,
        phase: &CurrentPhase,
        waits: &AtomicBool,
        until: Instant,
        is_fresh: bool,
    ) -> Result<Checkout, CheckoutError> {
        if self.dialer.tls.is_none() || self.speaks_http1.load(Ordering::Relaxed) {
            return self.dial(phase, until).await;
        }
        let began = Instant::now();
        loop {
            // Registered before looking, so that no change is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            waits.store(true, Ordering::Relaxed);
            let dialing = tokio::select! {
                dialing = self.dialing.lock() => Some(dialing),
                () = &mut changed => None,
            };
            if let Some(connection) = self.take(is_fresh) {
                waits.store(false, Ordering::Relaxed);
                return Ok(Checkout { connection, dialed: None });
            }
            let Some(dialing) = dialing else { continue };
            if until.saturating_duration_since(Instant::now()) < began.elapsed() / LEAST_PART_TO_DIAL {
                // The request spent its time on the connection that was being made: its failure names that one's phase.
                drop(dialing);
                std::future::pending::<()>().await;
                continue;
            }
            if self.speaks_http1.load(Ordering::Relaxed) {
                drop(dialing);
                waits.store(false, Ordering::Relaxed);
                return self.dial(phase, until).await;
            }
            if self.may_grow() {
                let dialed = self.dial(&self.dial_phase, until).await;
                waits.store(false, Ordering::Relaxed);
                return dialed.inspect_err(|_| phase.set(self.dial_phase.get()));
            }
            drop(dialing);
            waits.store(false, Ordering::Relaxed);
            // It waits for a place on a connection.
            phase.set(FailurePhase::Send);
            changed.await;
        }
    }

    /// Takes back a connection whose answer was read.
    pub fn check_in(&self, connection: Http1Connection) {
        if connection.meter.age() < MAX_AGE {
            self.idle.put(connection);
        }
    }

    fn take(&self, is_fresh: bool) -> Option<CheckedOut> {
        let generation = self.dialer.resolver.generation();
        let mut shared = self.shared();
        shared.retain(|connection| {
            if connection.age() >= MAX_AGE || connection.generation != generation {
                connection.retire();
            }
            connection.is_usable()
        });
        if let Some(slot) = shared.iter().find_map(Http2Connection::take_slot) {
            return Some(CheckedOut::Http2(slot));
        }
        drop(shared);
        if is_fresh { None } else { self.idle.take(generation).map(CheckedOut::Http1) }
    }

    /// Whether another shared connection would help: none is so new that its room is unknown.
    fn may_grow(&self) -> bool {
        let shared = self.shared();
        shared.len() < self.limit && shared.iter().all(|connection| connection.is_settled())
    }

    async fn dial(&self, phase: &CurrentPhase, until: Instant) -> Result<Checkout, CheckoutError> {
        let dialed = self.dialer.dial(phase, until).await?;
        let address = Some(dialed.address);
        if !dialed.is_http2 {
            self.speaks_http1.store(self.dialer.tls.is_some(), Ordering::Relaxed);
            self.changed.notify_waiters();
            let connection = CheckedOut::Http1(Http1Connection::new(dialed));
            return Ok(Checkout { connection, dialed: address });
        }
        phase.set(FailurePhase::Send);
        self.speaks_http1.store(false, Ordering::Relaxed);
        let started = Http2Connection::start(dialed, Arc::clone(&self.changed)).await;
        let connection = Arc::new(started.map_err(CheckoutError::Handshake)?);
        // Nobody else knows the connection yet, so it has room unless it ended at once.
        let slot = connection.take_slot();
        self.shared().push(connection);
        match slot {
            Some(slot) => Ok(Checkout { connection: CheckedOut::Http2(slot), dialed: address }),
            None => Err(DialError::Connect(std::io::ErrorKind::ConnectionReset.into()).into()),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Vec<Arc<Http2Connection>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

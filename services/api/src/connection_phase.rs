//! What a connection does at this moment, and whether it has taken too long for it.

use crate::connection_table::ConnectionPlace;
use std::{
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::OwnedSemaphorePermit;

/// Until the first byte of the first request: clients connect when they have something to say.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(10);
/// From a head's first byte to its last.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Between two requests. Longer than clients keep an idle connection, so that they close it first.
const IDLE_AT_MOST: Duration = Duration::from_secs(75);
/// A peer that takes nothing of an answer for this long has gone.
const TAKES_WITHIN: Duration = Duration::from_secs(30);

/// The state of one connection, shared by those who read, write and serve it.
pub struct ConnectionPhase {
    place: ConnectionPlace,
    now: Mutex<Now>,
    has_key: AtomicBool,
    is_tls: bool,
}

struct Now {
    doing: Doing,
    /// What comes is the rest of a body that will be thrown away, and no head.
    reads_on: bool,
    /// Since when the peer has taken nothing of what is there for it.
    write_waits_since: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Doing {
    /// Nothing of the next request has come.
    Waits {
        until: Instant,
    },
    ReadsHead {
        until: Instant,
    },
    /// From the end of the head to the end of the answer.
    Serves,
}

impl ConnectionPhase {
    pub fn new(place: ConnectionPlace, is_tls: bool) -> Self {
        let doing = Doing::Waits { until: Instant::now() + FIRST_BYTE_WITHIN };
        Self {
            place,
            now: Mutex::new(Now { doing, reads_on: false, write_waits_since: None }),
            has_key: AtomicBool::new(false),
            is_tls,
        }
    }

    pub fn address(&self) -> IpAddr {
        self.place.address
    }

    /// Ends when the connection must close for another one.
    pub async fn evicted(&self) {
        self.place.evicted().await;
    }

    /// Whether nobody between the peer and this API can read along.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// A request came with the right key: its sender is known, and its refused upload is read on for longer.
    pub fn mark_key(&self) {
        self.has_key.store(true, Ordering::Relaxed);
    }

    pub fn has_key(&self) -> bool {
        self.has_key.load(Ordering::Relaxed)
    }

    /// A turn to read what will be thrown away, if not too many others have one.
    pub fn read_on(&self) -> Option<OwnedSemaphorePermit> {
        self.place.read_on()
    }

    /// The same for the rest of a body: until `end_reading_on`, what comes is part of it.
    pub fn begin_reading_on(&self) -> Option<OwnedSemaphorePermit> {
        let turn = self.read_on()?;
        self.now().reads_on = true;
        Some(turn)
    }

    pub fn end_reading_on(&self) {
        self.now().reads_on = false;
    }

    pub fn record_read(&self, bytes: usize) {
        let mut now = self.now();
        if now.reads_on {
            return;
        }
        match now.doing {
            Doing::Serves => return,
            Doing::Waits { .. } => now.doing = Doing::ReadsHead { until: Instant::now() + HEAD_WITHIN },
            Doing::ReadsHead { .. } => {}
        }
        drop(now);
        self.place.add_head_bytes(bytes);
    }

    pub fn begin_request(&self) {
        self.now().doing = Doing::Serves;
        self.place.end_wait();
    }

    pub fn end_request(&self) {
        self.now().doing = Doing::Waits { until: Instant::now() + IDLE_AT_MOST };
        self.place.begin_wait();
    }

    pub fn record_write(&self, taken: bool) {
        let since = &mut self.now().write_waits_since;
        *since = if taken { None } else { since.or_else(|| Some(Instant::now())) };
    }

    pub fn is_overdue(&self) -> bool {
        let (now, at) = (self.now(), Instant::now());
        let is_late = match now.doing {
            Doing::Waits { until } | Doing::ReadsHead { until } => until <= at,
            Doing::Serves => false,
        };
        is_late || now.write_waits_since.is_some_and(|since| since + TAKES_WITHIN <= at)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Each change is one assignment.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

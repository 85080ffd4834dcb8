//! The whole state of this WhatsApp, behind one lock. Everything that decides is a method of
//! `World` in the module of its chapter; sockets and HTTP only carry its answers.
//! Promises that no method waits: the lock is held for microseconds, never across an await.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Result;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wacore_binary::Node;

use crate::{
    Config,
    connection::{Connection, ConnectionId, Outgoing, PasskeyAccount, ServerIdentity},
    faults::Faults,
    groups::Groups,
    ledger::Ledger,
    load::Loads,
    media::MediaStore,
    offline_queue::Entry,
    people::{Number, People},
    refusals::Refusals,
    restrictions::Restrictions,
    sent_log::SentLog,
    statistics::Statistics,
    timers::{Action, Timers},
};

pub struct World {
    pub auto_scan: bool,
    pub fixed_account: Option<Number>,
    pub lid_migrated: bool,
    pub identity: ServerIdentity,
    pub people: People,
    pub groups: Groups,
    pub connections: HashMap<ConnectionId, Connection>,
    pub next_connection: u64,
    pub ledger: Ledger,
    pub sent: SentLog,
    /// How often a phone asked again for a message that it cannot decrypt.
    pub requests: HashMap<(Number, String), u8>,
    /// The accounts whose phone is switched off: it confirms nothing.
    pub phones_off: HashSet<Number>,
    /// The accounts that are linked by passkey only.
    pub passkeys: HashMap<Number, PasskeyAccount>,
    pub faults: Faults,
    pub refusals: Refusals,
    pub restrictions: Restrictions,
    pub loads: Loads,
    pub statistics: Statistics,
    pub timers: Timers,
    pub media: Arc<MediaStore>,
    /// Seconds by which this WhatsApp's clock differs from the machine's.
    pub clock_offset: i64,
    /// Counts stanza ids of the server's own.
    pub next_id: u64,
    /// Something changed since the last snapshot.
    pub dirty: bool,
}

/// The world as tasks share it.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    pub timers_changed: Arc<Notify>,
    /// Cancelled when the simulator stops: every connection and load ends.
    pub stop: CancellationToken,
    background: TaskTracker,
}

impl Shared {
    pub fn new(world: World, stop: CancellationToken) -> Self {
        Self {
            timers_changed: world.timers.changed(),
            world: Arc::new(Mutex::new(world)),
            stop,
            background: TaskTracker::new(),
        }
    }

    /// Runs something beside the requests, until it ends or the simulator stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.background.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Waits for everything that was spawned; `stop` must have been cancelled.
    pub async fn finished(&self) {
        self.background.close();
        self.background.wait().await;
    }

    /// A panic under the lock is a bug in one stanza's chapter; the others go on.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub fn new(config: &Config, media: Arc<MediaStore>) -> Self {
        Self {
            auto_scan: config.auto_scan,
            fixed_account: config.account.clone(),
            lid_migrated: config.lid_migrated,
            identity: ServerIdentity::generate(),
            people: People::default(),
            groups: Groups::default(),
            connections: HashMap::new(),
            next_connection: 0,
            ledger: Ledger::default(),
            sent: SentLog::default(),
            requests: HashMap::new(),
            phones_off: HashSet::new(),
            passkeys: HashMap::new(),
            faults: Faults::default(),
            refusals: Refusals::default(),
            restrictions: Restrictions::default(),
            loads: Loads::default(),
            statistics: Statistics::default(),
            timers: Timers::default(),
            media,
            clock_offset: 0,
            next_id: 0,
            dirty: true,
        }
    }

    /// Unix seconds by this WhatsApp's clock.
    pub fn now(&self) -> i64 {
        time::OffsetDateTime::now_utc().unix_timestamp() + self.clock_offset
    }

    /// A stanza id of the server's own; random in front, so that a restart repeats none.
    pub fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:08X}{:04X}", rand::random::<u32>(), self.next_id & 0xffff)
    }

    /// Hands a stanza to one connection; a connection that is gone gets nothing.
    pub fn send(&mut self, to: ConnectionId, node: Node) {
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.push(Outgoing::Stanza(Box::new(node)));
        }
    }

    /// Closes a connection after everything that was handed to it before.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.push(Outgoing::Close);
        }
    }

    /// Keeps a stanza for a companion until it is acknowledged, and writes it now if the
    /// companion is there.
    pub fn enqueue(&mut self, number: &Number, device: u16, entry: Entry) -> Result<()> {
        self.dirty = true;
        let Some(companion) = self.people.companion_mut(number, device) else {
            return Ok(());
        };
        anyhow::ensure!(!companion.queue.is_full(), "the offline queue of {number} device {device} is full");
        let place = companion.queue.push(entry);
        self.deliver(number, device, place, false);
        Ok(())
    }

    /// Runs what is due and says when to come again.
    pub fn run_timers(&mut self, now: Instant) -> Option<Instant> {
        while let Some(action) = self.timers.take_due(now) {
            match action {
                Action::Send(connection, node) => self.send(connection, *node),
                Action::Close(connection) => self.close(connection),
                Action::Deliver { number, device, place } => self.write_entry(&number, device, place, false, false),
                Action::ReleaseHeld(connection) => self.release_held(connection),
                Action::PhoneGoesOn(connection) => self.phone_goes_on(connection),
                Action::WakeAll => self.wake_all(),
            }
        }
        self.timers.next()
    }

    pub fn wake_all(&mut self) {
        for connection in self.connections.values() {
            connection.wake.notify_one();
        }
    }
}

//! The whole state of this WhatsApp, behind one lock. Everything that decides is a method of
//! `ServerState` in the module of its chapter; sockets and HTTP only carry its answers.
//! Promises that no method waits: the lock is held for microseconds, never across an await.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wacore_binary::Node;

use crate::{
    channels::ChannelTable,
    config::Config,
    connection::{ClientConnection, ConnectionId, OutboxItem, PasskeyAccount},
    faults::FaultTable,
    groups::GroupTable,
    ledger::MessageLedger,
    load::LoadTable,
    media_store::{MediaStore, TlsIdentity},
    noise::ServerIdentity,
    offline_queue::QueueEntry,
    people::PeopleDirectory,
    phone_number::PhoneNumber,
    randomness::random,
    recording::Recording,
    refusals::LoginRefusals,
    restrictions::RestrictionTable,
    sent_log::SentLog,
    statistics::TrafficStatistics,
    timers::{TimerAction, TimerQueue},
};

pub struct ServerState {
    pub auto_scan: bool,
    pub fixed_account: Option<PhoneNumber>,
    pub lid_migrated: bool,
    /// How long a message takes on its way, in each direction.
    pub latency: Duration,
    pub identity: ServerIdentity,
    /// The TLS certificate of the media server, once it has one.
    pub media_tls: Option<TlsIdentity>,
    pub people: PeopleDirectory,
    pub groups: GroupTable,
    pub channels: ChannelTable,
    pub connections: HashMap<ConnectionId, ClientConnection>,
    pub next_connection: u64,
    pub ledger: MessageLedger,
    pub sent: SentLog,
    /// How often a phone asked again for a message that it cannot decrypt.
    pub requests: HashMap<(PhoneNumber, String), u8>,
    /// The accounts whose phone is switched off: it confirms nothing.
    pub phones_off: HashSet<PhoneNumber>,
    /// The accounts that are linked by passkey only.
    pub passkeys: HashMap<PhoneNumber, PasskeyAccount>,
    pub faults: FaultTable,
    pub refusals: LoginRefusals,
    pub restrictions: RestrictionTable,
    pub loads: LoadTable,
    pub statistics: TrafficStatistics,
    pub recording: Recording,
    pub timers: TimerQueue,
    pub media: Arc<MediaStore>,
    /// Seconds by which this WhatsApp's clock differs from the machine's.
    pub clock_offset: i64,
    /// Counts stanza ids of the server's own.
    pub next_id: u64,
    /// The id of the newest picture: the second in which it came, or the next one that is free.
    pub last_picture: i64,
    /// Messages whose ack a fault delays: receipts for them wait until then.
    pub delayed_acks: HashMap<(PhoneNumber, String), Instant>,
    /// Something changed since the last snapshot.
    pub dirty: bool,
}

/// The server as tasks share it.
#[derive(Clone)]
pub struct SharedState {
    server: Arc<Mutex<ServerState>>,
    pub timers_changed: Arc<Notify>,
    /// Cancelled when the simulator stops: every connection and load ends.
    pub stop: CancellationToken,
    background: TaskTracker,
}

impl SharedState {
    pub fn new(server: ServerState, stop: CancellationToken) -> Self {
        Self {
            timers_changed: server.timers.changed(),
            server: Arc::new(Mutex::new(server)),
            stop,
            background: TaskTracker::new(),
        }
    }

    /// Runs a task in the background until it ends or the simulator stops.
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

    /// A panic under the lock is a bug in the handler of one stanza. All others continue.
    pub fn lock(&self) -> MutexGuard<'_, ServerState> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerState {
    pub fn new(config: &Config, media: Arc<MediaStore>) -> Result<Self> {
        Ok(Self {
            auto_scan: config.auto_scan,
            fixed_account: config.account.clone(),
            lid_migrated: config.lid_migrated,
            latency: Duration::from_millis(config.latency_ms),
            identity: ServerIdentity::generate()?,
            media_tls: None,
            people: PeopleDirectory::default(),
            groups: GroupTable::default(),
            channels: ChannelTable::default(),
            connections: HashMap::new(),
            next_connection: 0,
            ledger: MessageLedger::default(),
            sent: SentLog::default(),
            requests: HashMap::new(),
            phones_off: HashSet::new(),
            passkeys: HashMap::new(),
            faults: FaultTable::default(),
            refusals: LoginRefusals::default(),
            restrictions: RestrictionTable::default(),
            loads: LoadTable::default(),
            statistics: TrafficStatistics::default(),
            recording: Recording::default(),
            timers: TimerQueue::default(),
            media,
            clock_offset: 0,
            next_id: 0,
            last_picture: 0,
            delayed_acks: HashMap::new(),
            dirty: true,
        })
    }

    /// Unix seconds by this WhatsApp's clock.
    pub fn now(&self) -> i64 {
        time::OffsetDateTime::now_utc().unix_timestamp() + self.clock_offset
    }

    /// A stanza id of the server's own; random in front, so that a restart repeats none.
    pub fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:08X}{:04X}", random::<u32>(), self.next_id & 0xffff)
    }

    /// Hands a stanza to one connection; a connection that is gone gets nothing.
    pub fn send(&mut self, to: ConnectionId, node: Node) {
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.push(OutboxItem::Stanza(Box::new(node)));
        }
    }

    /// Closes a connection after everything that was handed to it before.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.push(OutboxItem::Close);
        }
    }

    /// Keeps a stanza for a companion until it is acknowledged, and writes it now if the
    /// companion is there.
    pub fn enqueue(&mut self, number: &PhoneNumber, device: u16, entry: QueueEntry) -> Result<()> {
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
                TimerAction::Send(connection, node) => self.send(connection, *node),
                TimerAction::Close(connection) => self.close(connection),
                TimerAction::Deliver { number, device, place } => {
                    self.write_entry(&number, device, place, false, false)
                }
                TimerAction::ReleaseHeld(connection) => self.release_held(connection),
                TimerAction::PhoneGoesOn(connection) => self.phone_goes_on(connection),
                TimerAction::WakeAll => self.wake_all(),
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

//! Every open connection: how many there are in all and by address, and which of them waits longest for a request.
//!
//! At a bound, a connection that waits gives its place to a new one, so silent connections keep nobody out. Those in a
//! request keep their places. Does no I/O.

use crate::connection_limits::ConnectionLimits;
use kurir_chassis::shutdown::CancellationToken;
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of unfinished heads that all connections together may hold; a head has at most 32 kB, a usual one less than 1.
const HEAD_BYTES: usize = 16 << 20;

/// One place in so many is kept for addresses that hold few, so that others, who fill all the rest with requests that never
/// end, keep nobody out.
const KEPT_FOR_FEW: usize = 8;
/// How many connections are few.
const FEW: usize = 8;

/// Connections that may read on at the same time what will be thrown away, so that those who send it do not take the
/// time of others. Beyond it a connection is closed at once.
const MOST_READ_ON: usize = 64;

#[derive(Clone)]
pub struct ConnectionTable {
    table: Arc<Mutex<Table>>,
    reading_on: Arc<Semaphore>,
}

struct Table {
    in_all: usize,
    by_address: usize,
    /// The last number that was given to a connection, or to its turn to wait.
    last: u64,
    open: HashMap<u64, OpenConnection>,
    addresses: HashMap<IpAddr, AddressConnections>,
    head_bytes: usize,
}

struct OpenConnection {
    address: IpAddr,
    /// Since when it waits for a request, as a place in the order of all that wait.
    waits: Option<u64>,
    head_bytes: usize,
    evicted: CancellationToken,
}

#[derive(Default)]
struct AddressConnections {
    count: usize,
    /// Of unfinished heads.
    head_bytes: usize,
    /// By the order in which they began to wait.
    waiting: BTreeMap<u64, u64>,
}

/// The place of one connection in the table, until it is dropped.
pub struct ConnectionPlace {
    table: ConnectionTable,
    id: u64,
    pub address: IpAddr,
    evicted: CancellationToken,
}

impl ConnectionTable {
    pub fn new(limits: &ConnectionLimits) -> Self {
        let table = Table {
            in_all: limits.max_connections,
            by_address: limits.max_connections_per_address,
            last: 0,
            open: HashMap::new(),
            addresses: HashMap::new(),
            head_bytes: 0,
        };
        Self { table: Arc::new(Mutex::new(table)), reading_on: Arc::new(Semaphore::new(MOST_READ_ON)) }
    }

    /// A place for a new connection. None if there are too many and all of them are in a request.
    pub fn admit(&self, address: IpAddr) -> Option<ConnectionPlace> {
        let address = network_of(address);
        let mut table = self.table();
        let held = table.addresses.get(&address).map_or(0, |of| of.count);
        if held >= table.by_address {
            table.evict_of(address).then_some(())?;
        }
        let kept = if held < FEW { 0 } else { table.in_all / KEPT_FOR_FEW };
        if table.open.len() >= table.in_all - kept {
            // Nobody gives way to an address that holds more.
            let (busiest, holds) = table.busiest_waiting()?;
            (holds >= held && table.evict_of(busiest)).then_some(())?;
        }
        let id = table.next();
        let evicted = CancellationToken::new();
        let connection = OpenConnection { address, waits: None, head_bytes: 0, evicted: evicted.clone() };
        table.open.insert(id, connection);
        table.addresses.entry(address).or_default().count += 1;
        table.begin_wait(id);
        Some(ConnectionPlace { table: self.clone(), id, address, evicted })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two steps that belong together.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn begin_wait(&mut self, id: u64) {
        let turn = self.next();
        let Some(connection) = self.open.get_mut(&id) else { return };
        if let Some(of) = self.addresses.get_mut(&connection.address)
            && connection.waits.is_none()
        {
            connection.waits = Some(turn);
            of.waiting.insert(turn, id);
        }
    }

    fn end_wait(&mut self, id: u64) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        if let (Some(turn), Some(of)) = (connection.waits.take(), self.addresses.get_mut(&connection.address)) {
            of.waiting.remove(&turn);
        }
        let head_bytes = std::mem::take(&mut connection.head_bytes);
        self.head_bytes -= head_bytes;
        if let Some(of) = self.addresses.get_mut(&connection.address) {
            of.head_bytes -= head_bytes;
        }
    }

    fn remove(&mut self, id: u64) {
        self.end_wait(id);
        let Some(connection) = self.open.remove(&id) else { return };
        if let Some(of) = self.addresses.get_mut(&connection.address) {
            of.count -= 1;
            if of.count == 0 {
                self.addresses.remove(&connection.address);
            }
        }
        connection.evicted.cancel();
    }

    /// Closes the connection of this address that waits longest; false if none waits.
    fn evict_of(&mut self, address: IpAddr) -> bool {
        let oldest = self.addresses.get(&address).and_then(|of| of.waiting.first_key_value().map(|(_, id)| *id));
        self.evict(oldest)
    }

    /// Closes a connection with an unfinished head: of the address that holds most bytes of them, the one that waits
    /// longest. A connection that holds none would give nothing back. False if there is none.
    fn evict_unfinished_head(&mut self) -> bool {
        let Some(of) = self.addresses.values().max_by_key(|of| of.head_bytes) else { return false };
        let holds = |id: &&u64| self.open.get(id).is_some_and(|connection| connection.head_bytes > 0);
        let oldest = of.waiting.values().find(holds).copied();
        self.evict(oldest)
    }

    fn evict(&mut self, id: Option<u64>) -> bool {
        id.is_some_and(|id| {
            self.remove(id);
            true
        })
    }

    /// The address that has most connections, of those with one that waits, and how many it has.
    fn busiest_waiting(&self) -> Option<(IpAddr, usize)> {
        let waiting = self.addresses.iter().filter(|(_, of)| !of.waiting.is_empty());
        waiting.map(|(address, of)| (*address, of.count)).max_by_key(|(_, count)| *count)
    }
}

impl ConnectionPlace {
    /// Ends when the connection must close for another one.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// A turn to read what will be thrown away, if not too many others have one.
    pub fn read_on(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.table.reading_on).try_acquire_owned().ok()
    }

    pub fn begin_wait(&self) {
        self.table.table().begin_wait(self.id);
    }

    pub fn end_wait(&self) {
        self.table.table().end_wait(self.id);
    }

    /// Counts bytes of a head that is not complete. Beyond the bound, connections with such heads are closed, of the
    /// address that holds most bytes first.
    pub fn add_head_bytes(&self, bytes: usize) {
        let mut table = self.table.table();
        let Some(connection) = table.open.get_mut(&self.id) else { return };
        connection.head_bytes += bytes;
        if let Some(of) = table.addresses.get_mut(&self.address) {
            of.head_bytes += bytes;
        }
        table.head_bytes += bytes;
        while table.head_bytes > HEAD_BYTES && table.evict_unfinished_head() {}
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.table.table().remove(self.id);
    }
}

/// The network that counts as one address: a client with an IPv6 address usually has 2^64 of them.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn table(in_all: usize, by_address: usize) -> ConnectionTable {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Settings {
            #[command(flatten)]
            limits: ConnectionLimits,
        }
        let mut limits = Settings::parse_from(["x"]).limits;
        (limits.max_connections, limits.max_connections_per_address) = (in_all, by_address);
        ConnectionTable::new(&limits)
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
    }

    #[test]
    fn a_new_connection_takes_the_place_of_the_one_that_waits_longest() {
        let table = table(3, 3);
        let places: Vec<_> = (0..3).map(|_| table.admit(address(1)).expect("a place")).collect();
        places[0].end_wait();
        let new = table.admit(address(2)).expect("a place");
        let is_evicted = |place: &ConnectionPlace| place.evicted.is_cancelled();
        assert_eq!(places.iter().map(is_evicted).collect::<Vec<_>>(), [false, true, false]);
        // After its request, the first one waits since a shorter time than the third.
        places[0].begin_wait();
        let other = table.admit(address(2)).expect("a place");
        assert_eq!(places.iter().map(is_evicted).collect::<Vec<_>>(), [false, true, true]);
        for place in [&places[0], &new, &other] {
            place.end_wait();
        }
        assert!(table.admit(address(3)).is_none(), "all are in a request");
        drop(new);
        assert!(table.admit(address(3)).is_some());
    }

    #[test]
    fn requests_that_never_end_keep_nobody_out_who_holds_few() {
        let table = table(160, 1_000);
        let busy: Vec<_> =
            (0..1_000).map_while(|_| table.admit(address(1)).inspect(ConnectionPlace::end_wait)).collect();
        assert_eq!(busy.len(), 140);
        let few: Vec<_> =
            (2..20).map_while(|number| table.admit(address(number)).inspect(ConnectionPlace::end_wait)).collect();
        assert_eq!(few.len(), 18);
        assert!(table.admit(address(1)).is_none());
        // One who has only connected, and asks in a moment, does not give way to them either.
        let quiet = table.admit(address(30)).expect("a place");
        assert!(table.admit(address(1)).is_none());
        assert!(!quiet.evicted.is_cancelled());
    }

    #[test]
    fn an_address_takes_places_of_its_own_only() {
        let table = table(10, 2);
        let other = table.admit(address(2)).expect("a place");
        let places: Vec<_> = (0..5).map(|_| table.admit(address(1)).expect("a place")).collect();
        assert_eq!(places.iter().filter(|place| !place.evicted.is_cancelled()).count(), 2);
        assert!(!other.evicted.is_cancelled());
        places.iter().for_each(ConnectionPlace::end_wait);
        assert!(table.admit(address(1)).is_none());
        drop(places);
        let table = table.table();
        assert_eq!((table.open.len(), table.addresses.len(), table.head_bytes), (1, 1, 0));
    }

    #[test]
    fn unfinished_heads_have_a_bound_in_all() {
        let table = table(10_000, 10_000);
        let places: Vec<_> = (0..1_000).map(|_| table.admit(address(1)).expect("a place")).collect();
        places.iter().for_each(|place| place.add_head_bytes(32_000));
        let open = places.iter().filter(|place| !place.evicted.is_cancelled()).count();
        assert!(open * 32_000 <= HEAD_BYTES && (open + 1) * 32_000 > HEAD_BYTES, "{open}");
    }

    #[test]
    fn a_connection_without_a_head_does_not_give_way_to_heads_of_others() {
        let table = table(10_000, 10_000);
        let quiet: Vec<_> = (0..100).map(|_| table.admit(address(1)).expect("a place")).collect();
        let small = table.admit(address(2)).expect("a place");
        small.add_head_bytes(300);
        // Each holds the most that fits, from an address of its own.
        let large: Vec<_> = (3..6).map(|number| table.admit(address(number)).expect("a place")).collect();
        large.iter().for_each(|place| place.add_head_bytes(HEAD_BYTES - 1_000));
        let is_evicted = |place: &ConnectionPlace| place.evicted.is_cancelled();
        assert!(!quiet.iter().any(is_evicted) && !is_evicted(&small));
        assert_eq!(large.iter().filter(|place| !is_evicted(place)).count(), 1);
        drop((quiet, small, large));
        let table = table.table();
        assert_eq!((table.open.len(), table.addresses.len(), table.head_bytes), (0, 0, 0));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let of = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), address(1));
    }
}

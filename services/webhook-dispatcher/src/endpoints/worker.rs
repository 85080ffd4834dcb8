//! The dispatcher's one worker: it asks for events, delivers them, and at the end gives back what it did not begin.
//!
//! One task holds all deliveries of all endpoints; a task for each would cost a third of the throughput. Promises that
//! nothing is taken without a free slot, that one endpoint's trouble costs no other a slot, that a broker that goes
//! away and comes back is no more than a pause, that a change of an endpoint touches nothing that is in flight, and that
//! at the shutdown everything that was begun ends and everything else is given back at once.

mod order;

use super::{
    Change, Colleagues, Endpoint, Failing,
    breaker::Turn,
    consumer::{self, Source},
    inbox::{Arrival, Inbox, Request, Said},
    ordered::Shifts,
    roster::{LineId, Roster, Station, StationId},
    settled::{Handed, Taken},
    standing::{self, News},
};
use crate::delivery::{Deliverer, Desk, Pending, Told, Tools, Verdict};
use anyhow::Context as _;
use async_nats::{Message, Subject};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::endpoint::{Circuit, EndpointId, Ordering};
use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, atomic},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, Interval, MissedTickBehavior},
};

/// How soon the worker sees that a connection was made anew, that NATS is silent, that a limit or a circuit lets more
/// through.
const TICK: Duration = Duration::from_millis(100);
/// How soon a dispatcher takes part in the retries of an endpoint that only another one had to do with.
const LOOK_FOR_RETRIES: Duration = Duration::from_secs(10);
/// The same for an endpoint that was enabled: its retries may have waited for that.
const LOOK_SOON: Duration = Duration::from_millis(500);
/// How long NATS may take to end the requests at the shutdown.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Consumers that are made at the same time: with these, 10,000 take five seconds.
const MAKING: usize = 64;

/// What a worker works with.
pub struct Supplies {
    pub broker: Broker,
    pub tools: Arc<Tools>,
    pub changes: mpsc::Receiver<Change>,
    pub news: mpsc::Sender<News>,
    pub failing: Failing,
    pub colleagues: Colleagues,
}

pub struct Worker {
    broker: Broker,
    tools: Arc<Tools>,
    changes: mpsc::Receiver<Change>,
    news: mpsc::Sender<News>,
    failing: Failing,
    colleagues: Colleagues,
    inbox: Inbox,
    desk: Arc<Desk>,
    returned: mpsc::UnboundedReceiver<Subject>,
    roster: Roster,
    shifts: Shifts,
    in_delivery: FuturesUnordered<Delivery>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    making: Arc<Semaphore>,
    connects: u64,
    looks_for_retries: Instant,
    /// Lines whose consumer has not been asked for once; ready is who has none, and was told of all endpoints.
    untried: HashSet<LineId>,
    complete: bool,
    begun: Option<oneshot::Sender<()>>,
}

type Delivery = BoxFuture<'static, (LineId, Told)>;

/// What went on beside the deliveries.
enum Done {
    Made(LineId, anyhow::Result<()>),
    /// Endpoints that have retries.
    Retries(Vec<EndpointId>),
    /// Endpoints that have something parked.
    Parked(Vec<EndpointId>),
    /// Nothing of this endpoint is parked any more.
    Released(EndpointId, anyhow::Result<()>),
}

impl Worker {
    /// Says `begun` when every endpoint that there is has its consumer.
    ///
    /// # Errors
    /// If the client itself is at its end.
    pub async fn new(supplies: Supplies, begun: oneshot::Sender<()>) -> anyhow::Result<Self> {
        let Supplies { broker, tools, changes, news, failing, colleagues } = supplies;
        let (desk, returned) = Desk::open(broker.client.clone());
        let shifts = Shifts::new(broker.clone(), Arc::clone(&desk), news.clone(), failing.clone());
        Ok(Self {
            inbox: Inbox::open(&broker.client).await?,
            connects: connects(&broker),
            looks_for_retries: Instant::now() + LOOK_FOR_RETRIES,
            broker,
            tools,
            changes,
            news,
            failing,
            colleagues,
            desk,
            returned,
            roster: Roster::default(),
            shifts,
            in_delivery: FuturesUnordered::new(),
            jobs: FuturesUnordered::new(),
            making: Arc::new(Semaphore::new(MAKING)),
            untried: HashSet::new(),
            complete: false,
            begun: Some(begun),
        })
    }

    /// Works until the shutdown, then for at most `drain` on what it has begun.
    ///
    /// # Errors
    /// If the client itself is at its end. A broker that is away is waited for.
    pub async fn run(mut self, drain: Duration, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut stop = pin!(shutdown.cancelled());
        let mut tick = ticks();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some((line, told)) = self.in_delivery.next(), if !self.in_delivery.is_empty() => {
                    self.ended(line, told).await;
                }
                Some(change) = self.changes.recv() => self.change(change),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.done(done).await,
                Some(reply) = self.returned.recv() => give_back(&self.broker, reply).await,
                ended = self.shifts.ended() => {
                    let endpoint = ended.context("the task of an ordered webhook endpoint broke")?;
                    self.shift_ended(&endpoint);
                }
                _ = tick.tick() => self.look_around().await,
                arrival = self.inbox.next() => match arrival {
                    Arrival::Message(message) => self.take(message).await,
                    Arrival::Status { line, generation, said } => self.heard(line, generation, said).await,
                    Arrival::Ended => anyhow::bail!("the subscription to events ended"),
                },
            }
        }
        self.stop(drain).await;
        Ok(())
    }

    // What an endpoint is made of.

    fn change(&mut self, change: Change) {
        match change {
            Change::Set(endpoint) if !endpoint.enabled => self.close(&endpoint.id, "it is disabled"),
            Change::Set(endpoint) => self.set(endpoint),
            Change::Removed(endpoint) => {
                self.shifts.delete(&endpoint);
                self.close(&endpoint, "it was deleted");
            }
            Change::Circuit { endpoint, open } => self.circuit(&endpoint, open),
            Change::Retries(endpoint) => {
                if let Some(station) = self.roster.of_endpoint(&endpoint) {
                    self.open_retries(station);
                }
            }
            Change::Complete => {
                self.complete = true;
                self.look_for_retries();
                self.look_for_parked();
            }
        }
        self.say_if_begun();
    }

    fn set(&mut self, endpoint: Arc<Endpoint>) {
        let now = Instant::now();
        let known = self.roster.of_endpoint(&endpoint.id);
        let station = known.and_then(|station| self.roster.get(station));
        if station.is_some_and(|station| station.endpoint == endpoint) {
            return;
        }
        let deliverer = match Deliverer::new(Arc::clone(&endpoint), Arc::clone(&self.tools)) {
            Ok(deliverer) => Arc::new(deliverer),
            Err(error) => {
                let id = &endpoint.id;
                tracing::warn!(endpoint.id = %id, "webhook endpoint {id} cannot be used: {error:#}");
                return self.close(id, "it cannot be used");
            }
        };
        let Some(id) = known else {
            let is_default = endpoint.id.is_default();
            let id = self.roster.open(Station::new(endpoint, deliverer, now));
            self.make(LineId { station: id, source: Source::Events }, Duration::ZERO);
            if is_default {
                self.open_retries(id);
            }
            if self.complete {
                self.look_for_parked();
            }
            self.looks_for_retries = self.looks_for_retries.min(now + LOOK_SOON);
            return;
        };
        let Some(station) = self.roster.get(id) else { return };
        let moved = station.endpoint.url != endpoint.url;
        self.shifts.change(&endpoint, &deliverer);
        let unordered_again = endpoint.ordering == Ordering::None && self.shifts.has(&endpoint.id);
        if unordered_again {
            // What it has begun ends first; then its consumer is changed.
            self.shifts.end(&endpoint.id);
        }
        if endpoint.ordering == Ordering::Chat {
            station.events.lost(now);
            station.events.open = false;
        }
        station.change(Arc::clone(&endpoint), deliverer, now);
        let sources: Vec<Source> = station.lines().map(|line| line.source).collect();
        for source in sources.into_iter().filter(|source| !(unordered_again && *source == Source::Events)) {
            self.make(LineId { station: id, source }, Duration::ZERO);
        }
        if moved {
            self.tell(News::Moved { endpoint: endpoint.id.clone() });
        }
    }

    /// What another dispatcher saw.
    fn circuit(&mut self, endpoint: &EndpointId, open: bool) {
        let station = self.roster.of_endpoint(endpoint).and_then(|station| self.roster.get(station));
        match station {
            Some(station) if open => station.breaker.opened_elsewhere(Instant::now()),
            Some(station) => station.breaker.closed_elsewhere(),
            None => {}
        }
    }

    fn open_retries(&mut self, station: StationId) {
        if let Some(line) = self.roster.open_retries(station, Instant::now()) {
            self.make(line, Duration::ZERO);
        }
    }

    fn close(&mut self, endpoint: &EndpointId, why: &str) {
        let Some(station) = self.roster.of_endpoint(endpoint) else { return };
        self.roster.close(station);
        self.shifts.end(endpoint);
        self.untried.retain(|line| line.station != station);
        self.tools.metrics.forget(endpoint);
        tracing::info!(endpoint.id = %endpoint, "no more events are taken for webhook endpoint {endpoint}: {why}");
    }

    // What the broker says.

    /// Makes sure that a line's consumer is there and is as it should be.
    fn make(&mut self, line: LineId, pause: Duration) {
        let Some(station) = self.roster.get(line.station) else { return };
        let (broker, endpoint) = (self.broker.clone(), Arc::clone(&station.endpoint));
        let making = Arc::clone(&self.making);
        if self.begun.is_some() {
            self.untried.insert(line);
        }
        let made = async move {
            tokio::time::sleep(pause).await;
            // Closed by nobody.
            let _permit = making.acquire().await;
            Done::Made(line, consumer::make(&broker, line.source, &endpoint).await)
        };
        self.jobs.push(made.boxed());
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Made(line, made) => {
                self.untried.remove(&line);
                self.made(line, made).await;
                self.say_if_begun();
            }
            Done::Retries(endpoints) => {
                for endpoint in endpoints {
                    if let Some(station) = self.roster.of_endpoint(&endpoint) {
                        self.open_retries(station);
                    }
                }
            }
            Done::Parked(endpoints) => self.found_parked(endpoints),
            Done::Released(endpoint, released) => self.released(&endpoint, released),
        }
    }

    async fn made(&mut self, id: LineId, made: anyhow::Result<()>) {
        let Some(station) = self.roster.get(id.station) else { return };
        let endpoint = Arc::clone(&station.endpoint);
        let Some(line) = station.line(id.source) else { return };
        match made {
            Ok(()) if id.source == Source::Events && endpoint.ordering == Ordering::Chat => {
                self.begin_shift(id.station)
            }
            Ok(()) => {
                line.open = true;
                self.ask(id).await;
            }
            Err(error) => {
                let pause = line.breaks(Instant::now());
                let endpoint = &endpoint.id;
                tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} waits for its consumer: {error:#}");
                self.make(id, pause);
            }
        }
    }

    async fn heard(&mut self, id: LineId, generation: u64, said: Said) {
        let Some(line) = self.roster.get(id.station).and_then(|station| station.line(id.source)) else { return };
        if line.generation != generation {
            return;
        }
        match said {
            Said::Heartbeat => line.heartbeat(Instant::now()),
            Said::Expired { unserved } => {
                line.expired(unserved, Instant::now());
                self.ask(id).await;
            }
            Said::Trouble(what) => self.mend(id, &what),
        }
    }

    /// The line's requests are lost: it asks again when its consumer was seen.
    fn mend(&mut self, id: LineId, what: &str) {
        let Some(station) = self.roster.get(id.station) else { return };
        let endpoint = station.endpoint.id.clone();
        let Some(line) = station.line(id.source).filter(|line| line.open) else { return };
        tracing::info!(endpoint.id = %endpoint, "taking up the work of webhook endpoint {endpoint} anew: {what}");
        let pause = line.breaks(Instant::now());
        self.make(id, pause);
    }

    async fn ask(&mut self, id: LineId) {
        let (now, pace, sharers) = (Instant::now(), self.roster.pace(), self.colleagues.count());
        let Some(station) = self.roster.get(id.station) else { return };
        let batch = station.wanted(id.source, sharers, now);
        let Some(line) = station.line(id.source).filter(|_| batch > 0) else { return };
        line.asked(batch, pace, now);
        let request = Request {
            line: id,
            generation: line.generation,
            consumer: &line.consumer,
            batch,
            expires: pace.expires,
            heartbeat: pace.heartbeat,
        };
        self.inbox.ask(&request).await;
    }

    async fn look_around(&mut self) {
        let now = Instant::now();
        let is_new = connects(&self.broker) != self.connects;
        self.connects = connects(&self.broker);
        let (mut asking, mut silent, mut shifts) = (Vec::new(), Vec::new(), Vec::new());
        for (id, station) in self.roster.stations() {
            if station.endpoint.ordering == Ordering::Chat && !self.shifts.has(&station.endpoint.id) {
                shifts.push(id);
            }
            for line in station.lines() {
                let line_id = LineId { station: id, source: line.source };
                if is_new {
                    line.lost(now);
                }
                if line.is_silent(now) {
                    silent.push(line_id);
                } else if line.wanted(1) > 0 {
                    asking.push(line_id);
                }
            }
        }
        if is_new {
            tracing::debug!("the connection to NATS was made anew: all webhook work is asked for again");
        }
        for station in shifts {
            self.begin_shift(station);
        }
        for line in silent {
            self.mend(line, "NATS was silent");
        }
        for line in asking {
            self.ask(line).await;
        }
        if now >= self.looks_for_retries {
            self.look_for_retries();
        }
    }

    fn look_for_retries(&mut self) {
        self.looks_for_retries = Instant::now() + LOOK_FOR_RETRIES;
        let broker = self.broker.clone();
        // An error is a broker that is away: the next look tells.
        let found =
            async move { Done::Retries(consumer::endpoints(&broker, Source::Retries).await.unwrap_or_default()) };
        self.jobs.push(found.boxed());
    }

    // What becomes of a message.

    async fn take(&mut self, mut message: Message) {
        // Whatever is no message of a consumer has nothing to settle.
        let consumer = message.reply.as_ref().and_then(|reply| Handed::read(reply)).map(|handed| handed.consumer);
        let id = consumer.and_then(|consumer| self.roster.of_consumer(consumer));
        let Some((id, station)) = id.and_then(|id| Some((id, self.roster.get(id.station)?))) else {
            // Of an endpoint that was closed meanwhile: whoever has it open gets it.
            drop(Pending::of(&mut message, &self.desk, 0, Duration::ZERO));
            return;
        };
        let deliverer = Arc::clone(&station.deliverer);
        if id.source == Source::Events && station.endpoint.ordering == Ordering::Chat {
            // Asked for before the endpoint kept its chats in order.
            drop(Pending::of(&mut message, &self.desk, 0, Duration::ZERO));
            return;
        }
        let Some(line) = station.line(id.source) else { return };
        line.arrived(Instant::now());
        let ack_wait = station.endpoint.ack_wait;
        let Some(pending) = Pending::of(&mut message, &self.desk, id.station, ack_wait) else { return };
        match pending.begin() {
            Taken::AcknowledgeAgain => pending.acknowledge().await,
            Taken::Ignore => pending.ignore(),
            // Asked for when the endpoint took more, or before it was disabled: it comes again when there is a slot.
            Taken::Deliver if station.line(id.source).is_none_or(|line| !line.has_room()) => drop(pending),
            Taken::Deliver => match station.breaker.sends(Instant::now()) {
                // Asked for before the circuit opened: it is given back untouched.
                None => drop(pending),
                Some(probe) => {
                    if let Some(limit) = &mut station.limit {
                        limit.spend();
                    }
                    if let Some(line) = station.line(id.source) {
                        line.begins();
                    }
                    deliverer.metrics().in_delivery.inc();
                    if probe {
                        deliverer.metrics().circuit(Circuit::HalfOpen);
                        let endpoint = station.endpoint.id.clone();
                        self.tell(News::Probing { endpoint });
                    }
                    let delivered = async move { (id, deliverer.deliver(id.source, pending, message, probe).await) };
                    self.in_delivery.push(delivered.boxed());
                }
            },
        }
        self.ask(id).await;
    }

    async fn ended(&mut self, id: LineId, told: Told) {
        if told.retry_kept {
            self.open_retries(id.station);
        }
        // Closed meanwhile.
        let Some(station) = self.roster.get(id.station) else { return };
        if let Some(line) = station.line(id.source) {
            line.ends();
        }
        station.deliverer.metrics().in_delivery.dec();
        let now = Instant::now();
        let turn = station.breaker.hears(&told.verdict, told.probe, now);
        if let Some(limit) = station.limit.as_mut().filter(|_| told.verdict == Verdict::Untried) {
            limit.refund();
        }
        self.make_known(id.station, turn, told.verdict);
        self.ask(id).await;
    }

    fn make_known(&mut self, station: StationId, turn: Option<Turn>, verdict: Verdict) {
        let Some(station) = self.roster.get(station) else { return };
        let (endpoint, pause) = (station.endpoint.id.clone(), station.breaker.pause());
        let metrics = station.deliverer.metrics();
        let Some(news) = standing::news_of(&endpoint, turn, verdict, pause, metrics, &self.failing) else { return };
        let is_gone = matches!(news, News::Gone { .. });
        // Not one more request, whatever the bucket says by now; one whose word found no room is asked once more.
        if self.tell(news) && is_gone {
            self.close(&endpoint, "its receiver is gone for good");
        }
    }

    /// News that find no room are made up for by the next of their kind. Whether there was room.
    fn tell(&self, news: News) -> bool {
        self.news.try_send(news).is_ok()
    }

    // The beginning and the end.

    fn say_if_begun(&mut self) {
        if self.complete
            && self.untried.is_empty()
            && let Some(begun) = self.begun.take()
        {
            // Whoever asked may have gone.
            let _ = begun.send(());
        }
    }

    async fn stop(mut self, drain: Duration) {
        self.shifts.end_all();
        // Given back before the wait for what is in delivery: somebody else can have it meanwhile.
        let fetched = self.inbox.close(CLOSE_WITHIN).await;
        let (begun, fetched_only) = (self.in_delivery.len(), fetched.len());
        for mut message in fetched {
            drop(Pending::of(&mut message, &self.desk, 0, Duration::ZERO));
        }
        let deadline = Instant::now() + drain;
        while !self.in_delivery.is_empty() || !self.shifts.is_empty() {
            tokio::select! {
                Some(_) = self.in_delivery.next(), if !self.in_delivery.is_empty() => {}
                // One that broke ends with all others.
                ended = self.shifts.ended() => if ended.is_err() { break },
                Some(reply) = self.returned.recv() => give_back(&self.broker, reply).await,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let cut = self.in_delivery.len();
        drop(self.in_delivery);
        drop(self.shifts);
        drop(self.desk);
        // What waits for its record holds the desk until it is written: this ends with the last of it.
        drop(self.tools);
        drop(self.roster);
        while let Some(reply) = self.returned.recv().await {
            give_back(&self.broker, reply).await;
        }
        tracing::info!(
            "stopped webhook deliveries: {} in delivery ended, {} given back",
            begun - cut,
            fetched_only + cut
        );
    }
}

async fn give_back(broker: &Broker, reply: Subject) {
    // Refused only by a client that is at its end; the broker gives it to another after ack_wait.
    let _ = broker.client.publish(reply, async_nats::jetstream::AckKind::Nak(None).into()).await;
}

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn connects(broker: &Broker) -> u64 {
    broker.client.statistics().connects.load(atomic::Ordering::Relaxed)
}

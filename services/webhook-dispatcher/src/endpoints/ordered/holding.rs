//! What the one dispatcher does that holds an ordered endpoint: takes its events, delivers them as `chats` says, and
//! stores in RETRIES what must wait.
//!
//! Taking over, everything that is not settled is asked for again, and what came before is dropped. Whoever has not
//! heard of NATS for a while begins nothing, since another may have the place by now.

mod steps;

use super::{
    Current, Limits, Place, Task, Work,
    chats::{Arrival, Chats, Park, Turn},
    is_nobodys,
    parked::Shelf,
    pinned::{Came, GROUP, Pull},
};
use crate::{
    delivery::{Event, Pending, Verdict, session_of},
    endpoints::{
        breaker::Breaker,
        consumer::Source,
        news::{News, news_of},
        rate_limit::RateLimit,
        settled::Taken,
    },
};
use async_nats::Message;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kurir_contract::{chat::ChatToken, delivery::AttemptRecord, event::EventId};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use steps::{Done, Tried};
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};

/// Events in memory, and what comes again after a takeover at the most.
const WINDOW: usize = 512;
/// Beyond so many the endpoint takes no more: what waits in EVENTS costs no memory. Ours is 20 MB then.
const MAX_PARKED: usize = 100_000;
/// Messages that are being stored at the same time.
const STORES: usize = 64;
/// Ends of attempts that are being made to last; deliveries wait beyond them.
const ENDINGS: usize = 256;
/// Whoever is asked to stop delivers what he has in memory for so long: what was delivered behind an event that was not
/// comes again at the next one's.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// How soon it is seen that a limit or a circuit lets more through, or that a chat is slow.
const TICK: Duration = Duration::from_millis(100);
/// While there is nothing to deliver. The place is kept by asking every second.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// This loop goes round twice a second at least. If it did not, the place may be another's by now.
const FROZEN: Duration = Duration::from_millis(2_500);
/// How often is looked for what somebody parked who had lost the place and did not know.
const LOOK_FOR_STRAYS: Duration = Duration::from_secs(15);
/// With more than so many parked it is not looked for: the list would be long.
const STRAYS_AMONG: usize = 5_000;
/// How often the lease is renewed.
const RENEW_LEASE: Duration = Duration::from_secs(2);

/// Why the place is left.
pub enum End {
    /// As asked: everything that was begun has ended.
    Stopped,
    Lost {
        why: &'static str,
        /// NATS serves us, under another id.
        to: Option<Place>,
    },
}

/// What is known of an event that RETRIES does not hold, or holds otherwise.
struct Known {
    event_id: EventId,
    event_subject: String,
    event: Option<Arc<Event>>,
    pending: Option<Pending>,
    /// Of its last attempt, to be written before it is acknowledged.
    record: Option<AttemptRecord>,
}

pub struct Holding {
    current: Current,
    shelf: Shelf,
    pull: Pull,
    pin: Option<String>,
    chats: Chats,
    known: HashMap<u64, Known>,
    attempts: FuturesUnordered<BoxFuture<'static, Tried>>,
    endings: FuturesUnordered<BoxFuture<'static, anyhow::Result<Done>>>,
    storing: usize,
    /// Of the last message that came.
    handout: u64,
    lease_renewed: Instant,
    looked: Instant,
    /// Parked, and not known here, at the last look.
    strays: HashSet<(u64, ChatToken)>,
    /// Since when it is about to be left.
    stopping: Option<Instant>,
    /// The receiver is: not one more request.
    gone: bool,
}

impl Holding {
    pub async fn begin(task: &mut Task, place: Place) -> anyhow::Result<Self> {
        let current = task.current.borrow_and_update().clone();
        let consumer = Source::Events.consumer(&current.endpoint.id);
        let pin = match place {
            Place::Pinned(pin) => Some(pin),
            Place::Leased => None,
        };
        let mut pull = Pull::open(&task.work.broker.client, consumer).await?;
        let parked = {
            let mut prepared = std::pin::pin!(prepare(task, pin.is_some(), &current));
            loop {
                tokio::select! {
                    parked = &mut prepared => break parked?,
                    // The place is kept meanwhile.
                    () = tokio::time::sleep(TICK) => pull.ask(0, pin.as_deref()).await,
                }
            }
        };
        task.limits.rate = current.endpoint.rate_limit.map(|rate| RateLimit::new(rate, Instant::now()));
        let (now, mut chats) = (OffsetDateTime::now_utc(), Chats::new(WINDOW));
        for (sequence, chat) in &parked {
            chats.load(*sequence, *chat, now);
        }
        let id = &current.endpoint.id;
        tracing::info!(endpoint.id = %id, "keeping the order of webhook endpoint {id}: {} events are parked", parked.len());
        Ok(Self {
            shelf: task.shelf.clone(),
            current,
            pull,
            pin,
            chats,
            known: HashMap::new(),
            attempts: FuturesUnordered::new(),
            endings: FuturesUnordered::new(),
            storing: 0,
            handout: 0,
            lease_renewed: Instant::now(),
            looked: Instant::now(),
            strays: HashSet::new(),
            stopping: None,
            gone: false,
        })
    }

    pub async fn run(mut self, task: &mut Task) -> anyhow::Result<End> {
        let end = self.work(task).await;
        // A probe that is cut says nothing.
        task.limits.breaker.untried(true, Instant::now());
        if self.pin.is_some() && self.pull.is_fresh() && !matches!(end, Ok(End::Lost { .. })) {
            // Another is served at once, not after five seconds.
            let events = task.events().await?;
            let consumer = Source::Events.consumer(&self.current.endpoint.id);
            let _ = events.unpin_consumer(&consumer, GROUP).await;
        }
        if matches!(end, Ok(End::Stopped)) {
            // Given back, it is what the next one is served.
            drop(self.known);
            self.pull.close().await;
        } else {
            // We may be the next ourselves, and have all of it handed out again.
            self.known.into_values().filter_map(|known| known.pending).for_each(Pending::leave);
        }
        end
    }

    async fn work(&mut self, task: &mut Task) -> anyhow::Result<End> {
        let stop = task.stop.clone();
        let mut awake = Instant::now();
        loop {
            if awake.elapsed() > FROZEN {
                // Before anything else: what we would store now is another's to store.
                return Ok(End::Lost { why: "this process stood still", to: None });
            }
            awake = Instant::now();
            if !task.work.deleted.is_cancelled() {
                self.park();
            }
            self.go_on(&mut task.limits, &task.work.news).await;
            if self.has_finished() {
                return Ok(End::Stopped);
            }
            let pause = self.pause(&mut task.limits);
            tokio::select! {
                biased;
                () = stop.cancelled(), if self.stopping.is_none() => {
                    self.stopping = Some(Instant::now());
                    self.pull.stop().await;
                }
                Some(tried) = self.attempts.next(), if !self.attempts.is_empty() => {
                    self.tried(tried, &mut task.limits, &task.work);
                }
                Some(done) = self.endings.next(), if !self.endings.is_empty() => self.done(done?),
                Ok(()) = task.current.changed() => self.change(task.current.borrow_and_update().clone(), &mut task.limits),
                came = self.pull.next(), if !self.pull.has_ended() => match came {
                    Came::Message { message, .. } if self.stopping.is_some() => self.pull.give_back(message).await,
                    Came::Message { message, pin, handout } => {
                        if self.pin.as_ref() != Some(&pin) {
                            return Ok(End::Lost { why: "NATS serves us anew", to: Some(Place::Pinned(pin)) });
                        }
                        if handout != self.handout + 1 {
                            // Behind the next of its chat it would come too late.
                            return Ok(End::Lost { why: "a message was lost on its way", to: Some(Place::Pinned(pin)) });
                        }
                        self.handout = handout;
                        self.take(message, task).await;
                    }
                    Came::Unpinned(message) => self.pull.give_back(message).await,
                    Came::Word => {}
                    Came::Refused => return Ok(End::Lost { why: "NATS serves another", to: None }),
                    Came::Ended if self.stopping.is_some() => {}
                    Came::Ended => anyhow::bail!("the subscription to events ended"),
                },
                () = tokio::time::sleep(pause) => {
                    self.chats.look(OffsetDateTime::now_utc());
                    if self.looked.elapsed() > LOOK_FOR_STRAYS && self.chats.stored() < STRAYS_AMONG {
                        self.looked = Instant::now();
                        self.look_for_strays();
                    }
                    if self.pin.is_none() && self.lease_renewed.elapsed() > RENEW_LEASE {
                        self.lease_renewed = Instant::now();
                        if !is_nobodys(&task.consumer().await?) || !task.lease.claim().await? {
                            return Ok(End::Lost { why: "NATS serves another", to: None });
                        }
                    }
                }
            }
        }
    }

    /// Begins to store all that is to be stored now.
    fn park(&mut self) {
        while (self.pull.is_fresh() || self.stopping.is_some())
            && self.storing < STORES
            && let Some(park) = self.chats.next_park()
        {
            self.store(park);
        }
    }

    /// Begins all attempts that can begin now, and asks for more.
    async fn go_on(&mut self, limits: &mut Limits, news: &mpsc::Sender<News>) {
        let now = Instant::now();
        while self.may_begin(limits)
            && let Some(turn) = self.chats.next_turn(OffsetDateTime::now_utc())
        {
            let probe = limits.breaker.sends(now).unwrap_or_default();
            limits.rate.iter_mut().for_each(RateLimit::spend);
            if probe {
                let _ = news.try_send(News::Probing { endpoint: self.current.endpoint.id.clone() });
            }
            self.begin_attempt(turn, probe);
        }
        self.current.deliverer.metrics().circuit(limits.breaker.circuit());
        let is_open = self.stopping.is_none() && !self.gone && self.chats.stored() < MAX_PARKED;
        let room = if is_open { self.chats.room().min(limits.breaker.admits(now)) } else { 0 };
        let room = if self.pin.is_some() { room } else { room.min(1) };
        self.pull.ask(room, self.pin.as_deref()).await;
    }

    fn has_finished(&self) -> bool {
        let no_more = |since: Instant| since.elapsed() > FINISH_WITHIN || !self.chats.holds_any();
        self.stopping.is_some_and(no_more) && self.attempts.is_empty() && self.endings.is_empty()
    }

    fn may_begin(&self, limits: &mut Limits) -> bool {
        let now = Instant::now();
        !self.stopping.is_some_and(|since| since.elapsed() > FINISH_WITHIN || !self.chats.holds_any())
            && !self.gone
            && self.attempts.len() < self.current.endpoint.concurrency
            && self.endings.len() < ENDINGS
            && self.pull.is_fresh()
            && limits.breaker.admits(now) > 0
            // Nobody shares it.
            && limits.rate.as_mut().is_none_or(|rate| rate.available(1, now) > 0)
    }

    /// Until something may be due.
    fn pause(&self, limits: &mut Limits) -> Duration {
        match self.chats.next_due() {
            Some(due) if self.may_begin(limits) => {
                Duration::try_from(due - OffsetDateTime::now_utc()).unwrap_or_default().min(TICK)
            }
            Some(_) => TICK,
            None if self.attempts.is_empty() => IDLE_TICK,
            None => TICK,
        }
    }

    fn change(&mut self, new: Current, limits: &mut Limits) {
        let before = std::mem::replace(&mut self.current, new);
        let endpoint = &self.current.endpoint;
        if before.endpoint.url != endpoint.url {
            // Another receiver.
            limits.breaker = Breaker::default();
            self.gone = false;
        }
        limits.rate = endpoint.rate_limit.map(|rate| RateLimit::new(rate, Instant::now()));
    }

    async fn take(&mut self, mut message: Message, task: &Task) {
        let (work, endpoint) = (&task.work, &self.current.endpoint);
        let Some(pending) = Pending::of(&mut message, &work.desk, work.station, endpoint.ack_wait) else { return };
        match pending.begin() {
            Taken::AcknowledgeAgain => return pending.acknowledge().await,
            Taken::Ignore => return pending.ignore(),
            Taken::Deliver => {}
        }
        let Message { subject, payload, headers, .. } = message;
        let event = Event::new(subject, pending.sequence(), headers, payload);
        let chat = ChatToken::from_event(&session_of(&event.subject), &event.payload);
        match self.chats.arrives(event.sequence, chat, OffsetDateTime::now_utc()) {
            Arrival::Taken => {
                let known = Known {
                    event_id: event.id.clone(),
                    event_subject: event.subject.to_string(),
                    pending: Some(pending),
                    record: None,
                    event: None,
                };
                self.known.insert(event.sequence, Known { event: Some(Arc::new(event)), ..known });
            }
            Arrival::Copy => pending.ignore(),
            Arrival::Parked => pending.acknowledge().await,
        }
    }

    fn verdict(&mut self, verdict: Verdict, probe: bool, breaker: &mut Breaker, work: &Work) {
        self.gone |= matches!(verdict, Verdict::Gone { .. });
        let turn = breaker.hears(&verdict, probe, Instant::now());
        if let Some(told) = news_of(&self.current.endpoint.id, turn, verdict, breaker.pause(), &work.failing) {
            // What finds no room is made up for by the next of its kind.
            let _ = work.news.try_send(told);
        }
    }
}

/// Gives what is parked.
async fn prepare(task: &Task, pinned: bool, current: &Current) -> anyhow::Result<Vec<(u64, ChatToken)>> {
    // In this order: what one before us stores and acknowledges after this is handed out again.
    if pinned {
        task.hand_out_again().await?;
    }
    task.shelf.adopt(&current.deliverer).await?;
    task.shelf.list().await
}

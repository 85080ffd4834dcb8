//! What the one dispatcher does that holds an ordered endpoint: takes its events, delivers them as `chats` says, and
//! stores in RETRIES what must wait.
//!
//! Taking over, everything that is not settled is asked for again, and what came before is dropped. Whoever has not
//! heard of NATS for a while begins nothing, since another may have the place by now.

mod step_results;
mod steps;

use crate::{
    delivery::result::EndpointVerdict,
    endpoints::{
        circuit_breaker::CircuitBreaker,
        health_change::{HealthChange, health_change_after},
        ordered::{
            chat_queues::{ArrivalResult, ChatQueues},
            holder::step_results::{FinishedAttempt, StepResult},
            ordered_endpoint::{CurrentEndpoint, EndpointLimits, HoldMode, OrderedEndpoint, TaskContext, is_unpinned},
        },
        rate_limit::RateLimit,
    },
    event::{StoredEvent, session_of},
    jetstream::{
        consumer::PullSource,
        parked_events::ParkedEvents,
        pending_message::PendingMessage,
        pinned_pull::{GROUP, PinnedPull, Pulled},
        recent_acks::Claim,
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
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};

/// Events in memory, and what comes again after a takeover at the most.
const WINDOW: usize = 512;
/// Beyond so many the endpoint takes no more: what waits in EVENTS costs no memory. Ours is 20 MB then.
const MAX_PARKED: usize = 100_000;
/// Messages that are being stored at the same time.
const MAX_STORES: usize = 64;
/// Ends of attempts that are being made to last; deliveries wait beyond them.
const MAX_STEPS: usize = 256;
/// Whoever is asked to stop delivers what he has in memory for so long: what was delivered behind an event that was not
/// comes again at the next one's.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How soon it is seen that a limit or a circuit lets more through, or that a chat is slow.
const TICK: Duration = Duration::from_millis(100);
/// While there is nothing to deliver. The place is kept by asking every second.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// This loop goes round twice a second at least. If it did not, the place may be another's by now.
const FROZEN_AFTER: Duration = Duration::from_millis(2_500);
/// How often is strays_checked for what somebody parked who had lost the place and did not know.
const STRAYS_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// With more than so many parked it is not strays_checked for: the list would be long.
const MAX_PARKED_FOR_STRAYS: usize = 5_000;
/// How often the lease is renewed.
const LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(2);

/// Why the place is left.
pub enum HoldEnd {
    /// As asked: everything that was begun has ended.
    Stopped,
    Lost {
        why: &'static str,
        /// NATS serves us, under another id.
        to: Option<HoldMode>,
    },
}

/// What is known of an event that RETRIES does not hold, or holds otherwise.
struct HeldEvent {
    event_id: EventId,
    event_subject: String,
    event: Option<Arc<StoredEvent>>,
    pending: Option<PendingMessage>,
    /// Of its last attempt, to be written before it is acknowledged.
    record: Option<AttemptRecord>,
}

pub struct ChatOrderHolder {
    current: CurrentEndpoint,
    parked: ParkedEvents,
    pull: PinnedPull,
    pin: Option<String>,
    chats: ChatQueues,
    known: HashMap<u64, HeldEvent>,
    attempts: FuturesUnordered<BoxFuture<'static, FinishedAttempt>>,
    steps: FuturesUnordered<BoxFuture<'static, anyhow::Result<StepResult>>>,
    storing: usize,
    /// Of the last message that came.
    consumer_sequence: u64,
    lease_renewed: Instant,
    strays_checked: Instant,
    /// Parked, and not known here, at the last look.
    strays: HashSet<(u64, ChatToken)>,
    /// Since when it is about to be left.
    stopping: Option<Instant>,
    /// The receiver is: not one more request.
    receiver_gone: bool,
}

impl ChatOrderHolder {
    pub async fn start(task: &mut OrderedEndpoint, mode: HoldMode) -> anyhow::Result<Self> {
        let current = task.current.borrow_and_update().clone();
        let consumer = PullSource::Events.consumer_name(&current.endpoint.id);
        let pin = match mode {
            HoldMode::Pinned(pin) => Some(pin),
            HoldMode::Leased => None,
        };
        let mut pull = PinnedPull::open(&task.context.broker.client, consumer).await?;
        let parked = {
            let mut prepared = std::pin::pin!(prepare(task, pin.is_some()));
            loop {
                tokio::select! {
                    parked = &mut prepared => break parked?,
                    // The place is kept meanwhile.
                    () = tokio::time::sleep(TICK) => pull.request_or_renew(0, pin.as_deref()).await,
                }
            }
        };
        task.limits.rate = current.endpoint.rate_limit.map(|rate| RateLimit::new(rate, Instant::now()));
        let (now, mut chats) = (OffsetDateTime::now_utc(), ChatQueues::new(WINDOW));
        for (sequence, chat) in &parked {
            chats.load_parked(*sequence, *chat, now);
        }
        let id = &current.endpoint.id;
        tracing::info!(endpoint.id = %id, "keeping the order of webhook endpoint {id}: {} events are parked", parked.len());
        Ok(Self {
            parked: task.parked.clone(),
            current,
            pull,
            pin,
            chats,
            known: HashMap::new(),
            attempts: FuturesUnordered::new(),
            steps: FuturesUnordered::new(),
            storing: 0,
            consumer_sequence: 0,
            lease_renewed: Instant::now(),
            strays_checked: Instant::now(),
            strays: HashSet::new(),
            stopping: None,
            receiver_gone: false,
        })
    }

    pub async fn run(mut self, task: &mut OrderedEndpoint) -> anyhow::Result<HoldEnd> {
        let end = self.run_until_end(task).await;
        // A probe that is cut says nothing.
        task.limits.breaker.cancel_probe(true, Instant::now());
        if self.pin.is_some() && self.pull.is_fresh() && !matches!(end, Ok(HoldEnd::Lost { .. })) {
            // Another is served at once, not after five seconds.
            let events = task.events_stream().await?;
            let consumer = PullSource::Events.consumer_name(&self.current.endpoint.id);
            let _ = events.unpin_consumer(&consumer, GROUP).await;
        }
        if matches!(end, Ok(HoldEnd::Stopped)) {
            // Given back, it is what the next one is served.
            drop(self.known);
            self.pull.close().await;
        } else {
            // We may be the next ourselves, and have all of it handed out again.
            self.known.into_values().filter_map(|known| known.pending).for_each(PendingMessage::abandon);
        }
        end
    }

    async fn run_until_end(&mut self, task: &mut OrderedEndpoint) -> anyhow::Result<HoldEnd> {
        let stop = task.stop.clone();
        let mut awake = Instant::now();
        loop {
            if awake.elapsed() > FROZEN_AFTER {
                // Before anything else: what we would store now is another's to store.
                return Ok(HoldEnd::Lost { why: "this process stood still", to: None });
            }
            awake = Instant::now();
            if !task.context.deleted.is_cancelled() {
                self.park_events();
            }
            self.start_attempts(&mut task.limits, &task.context.health_changes).await;
            if self.has_finished() {
                return Ok(HoldEnd::Stopped);
            }
            let pause = self.time_to_next(&mut task.limits);
            tokio::select! {
                biased;
                () = stop.cancelled(), if self.stopping.is_none() => {
                    self.stopping = Some(Instant::now());
                    self.pull.stop().await;
                }
                Some(tried) = self.attempts.next(), if !self.attempts.is_empty() => {
                    self.finish_attempt(tried, &mut task.limits, &task.context);
                }
                Some(done) = self.steps.next(), if !self.steps.is_empty() => self.finish_step(done?),
                Ok(()) = task.current.changed() => self.update_endpoint(task.current.borrow_and_update().clone(), &mut task.limits),
                came = self.pull.next(), if !self.pull.has_ended() => match came {
                    Pulled::Message { message, .. } if self.stopping.is_some() => self.pull.give_back(message).await,
                    Pulled::Message { message, pin, consumer_sequence } => {
                        if self.pin.as_ref() != Some(&pin) {
                            return Ok(HoldEnd::Lost { why: "NATS serves us anew", to: Some(HoldMode::Pinned(pin)) });
                        }
                        if consumer_sequence != self.consumer_sequence + 1 {
                            // Behind the next of its chat it would come too late.
                            return Ok(HoldEnd::Lost { why: "a message was lost on its way", to: Some(HoldMode::Pinned(pin)) });
                        }
                        self.consumer_sequence = consumer_sequence;
                        self.take_message(message, task).await;
                    }
                    Pulled::Unpinned(message) => self.pull.give_back(message).await,
                    Pulled::Status => {}
                    Pulled::Refused => return Ok(HoldEnd::Lost { why: "NATS serves another", to: None }),
                    Pulled::Ended if self.stopping.is_some() => {}
                    Pulled::Ended => anyhow::bail!("the subscription to events ended"),
                },
                () = tokio::time::sleep(pause) => {
                    self.chats.park_slow_chats(OffsetDateTime::now_utc());
                    if self.strays_checked.elapsed() > STRAYS_CHECK_INTERVAL && self.chats.stored_count() < MAX_PARKED_FOR_STRAYS {
                        self.strays_checked = Instant::now();
                        self.find_strays();
                    }
                    if self.pin.is_none() && self.lease_renewed.elapsed() > LEASE_RENEW_INTERVAL {
                        self.lease_renewed = Instant::now();
                        if !is_unpinned(&task.consumer_info().await?) || !task.lease.claim().await? {
                            return Ok(HoldEnd::Lost { why: "NATS serves another", to: None });
                        }
                    }
                }
            }
        }
    }

    /// Begins to store all that is to be stored now.
    fn park_events(&mut self) {
        while (self.pull.is_fresh() || self.stopping.is_some())
            && self.storing < MAX_STORES
            && let Some(park) = self.chats.next_park()
        {
            self.start_store(park);
        }
    }

    /// Begins all attempts that can begin now, and asks for more.
    async fn start_attempts(&mut self, limits: &mut EndpointLimits, health_changes: &mpsc::Sender<HealthChange>) {
        let now = Instant::now();
        while self.may_start(limits)
            && let Some(turn) = self.chats.next_turn(OffsetDateTime::now_utc())
        {
            let probe = limits.breaker.try_send(now).unwrap_or_default();
            limits.rate.iter_mut().for_each(RateLimit::spend);
            if probe {
                let _ = health_changes.try_send(HealthChange::Probing { endpoint: self.current.endpoint.id.clone() });
            }
            self.start_attempt(turn, probe);
        }
        self.current.deliverer.metrics().set_circuit(limits.breaker.state());
        let is_open = self.stopping.is_none() && !self.receiver_gone && self.chats.stored_count() < MAX_PARKED;
        let room = if is_open { self.chats.room().min(limits.breaker.allowance(now)) } else { 0 };
        let room = if self.pin.is_some() { room } else { room.min(1) };
        self.pull.request_or_renew(room, self.pin.as_deref()).await;
    }

    fn has_finished(&self) -> bool {
        let no_more = |since: Instant| since.elapsed() > FINISH_TIMEOUT || !self.chats.has_unstored();
        self.stopping.is_some_and(no_more) && self.attempts.is_empty() && self.steps.is_empty()
    }

    fn may_start(&self, limits: &mut EndpointLimits) -> bool {
        let now = Instant::now();
        !self.stopping.is_some_and(|since| since.elapsed() > FINISH_TIMEOUT || !self.chats.has_unstored())
            && !self.receiver_gone
            && self.attempts.len() < self.current.endpoint.concurrency
            && self.steps.len() < MAX_STEPS
            && self.pull.is_fresh()
            && limits.breaker.allowance(now) > 0
            // Nobody shares it.
            && limits.rate.as_mut().is_none_or(|rate| rate.available(1, now) > 0)
    }

    /// Until something may be due.
    fn time_to_next(&self, limits: &mut EndpointLimits) -> Duration {
        match self.chats.next_due() {
            Some(due) if self.may_start(limits) => {
                Duration::try_from(due - OffsetDateTime::now_utc()).unwrap_or_default().min(TICK)
            }
            Some(_) => TICK,
            None if self.attempts.is_empty() => IDLE_TICK,
            None => TICK,
        }
    }

    fn update_endpoint(&mut self, new: CurrentEndpoint, limits: &mut EndpointLimits) {
        let before = std::mem::replace(&mut self.current, new);
        let endpoint = &self.current.endpoint;
        if before.endpoint.url != endpoint.url {
            // Another receiver.
            limits.breaker = CircuitBreaker::default();
            self.receiver_gone = false;
        }
        limits.rate = endpoint.rate_limit.map(|rate| RateLimit::new(rate, Instant::now()));
    }

    async fn take_message(&mut self, mut message: Message, task: &OrderedEndpoint) {
        let (context, endpoint) = (&task.context, &self.current.endpoint);
        let Some(pending) = PendingMessage::take_from(&mut message, &context.tracker, context.slot, endpoint.ack_wait)
        else {
            return;
        };
        match pending.claim() {
            Claim::AcknowledgeAgain => return pending.acknowledge().await,
            Claim::Ignore => return pending.drop_copy(),
            Claim::Deliver => {}
        }
        let Message { subject, payload, headers, .. } = message;
        let event = StoredEvent::new(subject, pending.sequence(), headers, payload);
        let chat = ChatToken::of(&session_of(&event.subject), &event.payload);
        match self.chats.add_arrival(event.sequence, chat, OffsetDateTime::now_utc()) {
            ArrivalResult::Taken => {
                let known = HeldEvent {
                    event_id: event.id.clone(),
                    event_subject: event.subject.to_string(),
                    pending: Some(pending),
                    record: None,
                    event: None,
                };
                self.known.insert(event.sequence, HeldEvent { event: Some(Arc::new(event)), ..known });
            }
            ArrivalResult::Copy => pending.drop_copy(),
            ArrivalResult::Parked => pending.acknowledge().await,
        }
    }

    fn apply_verdict(
        &mut self,
        verdict: EndpointVerdict,
        probe: bool,
        breaker: &mut CircuitBreaker,
        context: &TaskContext,
    ) {
        self.receiver_gone |= matches!(verdict, EndpointVerdict::Gone { .. });
        let turn = breaker.record(&verdict, probe, Instant::now());
        if let Some(result) =
            health_change_after(&self.current.endpoint.id, turn, verdict, breaker.pause(), &context.failing)
        {
            // What finds no room is made up for by the next of its kind.
            let _ = context.health_changes.try_send(result);
        }
    }
}

/// Gives what is parked.
async fn prepare(task: &OrderedEndpoint, pinned: bool) -> anyhow::Result<Vec<(u64, ChatToken)>> {
    // In this order: what one before us stores and acknowledges after this is handed out again.
    if pinned {
        task.hand_out_again().await?;
    }
    task.parked.adopt().await?;
    task.parked.list().await
}

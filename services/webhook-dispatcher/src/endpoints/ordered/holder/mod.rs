//! The dispatcher that holds an ordered endpoint takes its events, delivers them as `chat_queues` decides, and stores
//! in RETRIES what must wait.
//!
//! When it takes over, everything that is not settled is handed out again, and earlier messages are dropped. A holder
//! that has not heard from NATS for a while starts nothing, since another may be the holder by now.

mod pace;
mod step_results;
mod steps;

use crate::{
    delivery::result::{DeliveryResult, EndpointVerdict},
    endpoints::{
        circuit_breaker::CircuitChange,
        health_change::{VerdictEffect, health_change_after},
        ordered::{
            chat_queues::{ArrivalResult, ChatQueues},
            holder::step_results::{FinishedAttempt, StepResult},
            ordered_endpoint::{CurrentEndpoint, EndpointLimits, HoldMode, OrderedEndpoint, TaskContext, is_unpinned},
        },
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
use kurir_chassis::nats_clock::NatsClock;
use kurir_contract::{chat::ChatToken, delivery::AttemptRecord, event::EventId};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Events in memory. After a takeover at most this many come again.
const WINDOW: usize = 512;
/// Messages that are stored at the same time.
const MAX_STORES: usize = 64;
/// How soon a limit or circuit that allows more, or a slow chat, is noticed.
const TICK: Duration = Duration::from_millis(100);
/// The loop runs at least twice a second. After a longer pause another dispatcher may be the holder.
const FROZEN_AFTER: Duration = Duration::from_millis(2_500);
/// How often the holder looks for events that an earlier holder parked after it had lost its hold.
const STRAYS_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// With more parked events the holder does not look: the list would be long.
const MAX_PARKED_FOR_STRAYS: usize = 5_000;
/// How often the lease is renewed.
const LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(2);

/// Why the hold ends.
pub enum HoldEnd {
    /// It was asked to stop, and everything that was started has ended.
    Stopped,
    Lost {
        why: &'static str,
        /// NATS has pinned us under another id.
        to: Option<HoldMode>,
    },
}

/// An event that RETRIES does not hold, or holds out of date.
struct HeldEvent {
    event_id: EventId,
    event_subject: String,
    event: Option<Arc<StoredEvent>>,
    pending: Option<PendingMessage>,
    /// The record of its last attempt. It is written before the event is acknowledged.
    record: Option<AttemptRecord>,
}

pub struct ChatOrderHolder {
    current: CurrentEndpoint,
    parked: ParkedEvents,
    clock: NatsClock,
    pull: PinnedPull,
    pin: Option<String>,
    chats: ChatQueues,
    held: HashMap<u64, HeldEvent>,
    attempts: FuturesUnordered<BoxFuture<'static, FinishedAttempt>>,
    steps: FuturesUnordered<BoxFuture<'static, anyhow::Result<StepResult>>>,
    storing: usize,
    /// Of the last message that came.
    consumer_sequence: u64,
    lease_renewed: Instant,
    strays_checked: Instant,
    /// Events that were parked and unknown here at the last check.
    strays: HashSet<(u64, ChatToken)>,
    /// Since when the holder is stopping.
    stopping: Option<Instant>,
    /// The receiver is gone for good: no further request is made.
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
            let mut prepared = std::pin::pin!(prepare(task, &current, pin.is_some()));
            loop {
                tokio::select! {
                    parked = &mut prepared => break parked?,
                    // Keeps the hold meanwhile.
                    () = tokio::time::sleep(TICK) => pull.request_or_renew(0, pin.as_deref()).await,
                }
            }
        };
        task.limits.update(&current.endpoint, false);
        let clock = task.context.broker.clock.clone();
        let (now, mut chats) = (clock.now(), ChatQueues::new(WINDOW));
        for (sequence, chat) in &parked {
            chats.load_parked(*sequence, *chat, now);
        }
        let id = &current.endpoint.id;
        tracing::info!(endpoint.id = %id, "this dispatcher now keeps webhook endpoint {id} in order: {} events are parked", parked.len());
        Ok(Self {
            parked: task.parked.clone(),
            clock,
            current,
            pull,
            pin,
            chats,
            held: HashMap::new(),
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
        // A probe that is cut short has no verdict.
        task.limits.breaker.cancel_probe(true, Instant::now());
        if self.pin.is_some() && self.pull.is_fresh() && !matches!(end, Ok(HoldEnd::Lost { .. })) {
            // Another dispatcher is served at once, not after five seconds.
            let events = task.events_stream().await?;
            let consumer = PullSource::Events.consumer_name(&self.current.endpoint.id);
            let _ = events.unpin_consumer(&consumer, GROUP).await;
        }
        if matches!(end, Ok(HoldEnd::Stopped)) {
            // Messages that are given back go to the next holder.
            drop(self.held);
            self.pull.close().await;
        } else {
            // We may be the next holder, and have them all handed out again.
            self.held.into_values().filter_map(|held| held.pending).for_each(PendingMessage::abandon);
        }
        end
    }

    async fn run_until_end(&mut self, task: &mut OrderedEndpoint) -> anyhow::Result<HoldEnd> {
        let stop = task.stop.clone();
        let mut awake = Instant::now();
        loop {
            if awake.elapsed() > FROZEN_AFTER {
                // Checked before anything else: only the present holder may store.
                return Ok(HoldEnd::Lost { why: "this process was frozen", to: None });
            }
            awake = Instant::now();
            if self.stopping.is_none()
                && self.pin.is_some()
                && self.pull.is_silent()
                && task.context.broker.is_connected()
            {
                // The consumer, or its stream, has vanished.
                return Ok(HoldEnd::Lost { why: "NATS does not serve its consumer", to: None });
            }
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
                Some(attempt) = self.attempts.next(), if !self.attempts.is_empty() => {
                    self.finish_attempt(attempt, &mut task.limits, &task.context);
                }
                Some(step) = self.steps.next(), if !self.steps.is_empty() => self.finish_step(step?),
                Ok(()) = task.current.changed() => self.update_endpoint(task.current.borrow_and_update().clone(), &mut task.limits),
                pulled = self.pull.next(), if !self.pull.has_ended() => match pulled {
                    Pulled::Message { message, .. } if self.stopping.is_some() => self.pull.give_back(message).await,
                    Pulled::Message { message, pin, consumer_sequence } => {
                        if self.pin.as_ref() != Some(&pin) {
                            return Ok(HoldEnd::Lost { why: "NATS has pinned us again", to: Some(HoldMode::Pinned(pin)) });
                        }
                        if consumer_sequence != self.consumer_sequence + 1 {
                            // Behind the next event of its chat it would come too late.
                            return Ok(HoldEnd::Lost { why: "a message was lost on its way", to: Some(HoldMode::Pinned(pin)) });
                        }
                        self.consumer_sequence = consumer_sequence;
                        self.take_message(message, task).await;
                    }
                    Pulled::Unpinned(message) => self.pull.give_back(message).await,
                    Pulled::Status => {}
                    Pulled::Refused => return Ok(HoldEnd::Lost { why: "NATS has pinned another dispatcher", to: None }),
                    Pulled::Ended if self.stopping.is_some() => {}
                    Pulled::Ended => anyhow::bail!("the subscription to events ended"),
                },
                () = tokio::time::sleep(pause) => {
                    self.chats.park_slow_chats(self.clock.now());
                    if self.strays_checked.elapsed() > STRAYS_CHECK_INTERVAL && self.chats.stored_count() < MAX_PARKED_FOR_STRAYS {
                        self.strays_checked = Instant::now();
                        self.find_strays();
                    }
                    if self.pin.is_none() && self.lease_renewed.elapsed() > LEASE_RENEW_INTERVAL {
                        self.lease_renewed = Instant::now();
                        if !is_unpinned(&task.consumer_info().await?) || !task.lease.claim().await? {
                            return Ok(HoldEnd::Lost { why: "NATS has pinned another dispatcher", to: None });
                        }
                    }
                }
            }
        }
    }

    /// Starts to store everything that must be stored now.
    fn park_events(&mut self) {
        while (self.pull.is_fresh() || self.stopping.is_some())
            && self.storing < MAX_STORES
            && let Some(park) = self.chats.next_park()
        {
            self.start_store(park);
        }
    }

    fn update_endpoint(&mut self, new: CurrentEndpoint, limits: &mut EndpointLimits) {
        let before = std::mem::replace(&mut self.current, new);
        let endpoint = &self.current.endpoint;
        if before.endpoint.url != endpoint.url {
            self.receiver_gone = false;
        }
        limits.update(endpoint, before.endpoint.url != endpoint.url);
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
        let event = StoredEvent { stored_at: pending.stored_at(), ..event };
        let chat = ChatToken::from_event(&session_of(&event.subject), &event.payload);
        match self.chats.add_arrival(event.sequence, chat, self.clock.now()) {
            ArrivalResult::Taken => {
                let held = HeldEvent {
                    event_id: event.id.clone(),
                    event_subject: event.subject.to_string(),
                    pending: Some(pending),
                    record: None,
                    event: None,
                };
                self.held.insert(event.sequence, HeldEvent { event: Some(Arc::new(event)), ..held });
            }
            ArrivalResult::Copy => pending.drop_copy(),
            ArrivalResult::Parked => pending.acknowledge().await,
        }
    }

    fn apply_result(&mut self, result: DeliveryResult, limits: &mut EndpointLimits, context: &TaskContext) {
        let now = Instant::now();
        limits.concurrency.record(&result, self.current.endpoint.timeout, now);
        let DeliveryResult { verdict, probe, .. } = result;
        self.receiver_gone |= matches!(verdict, EndpointVerdict::Gone { .. });
        let circuit_change = limits.breaker.record(&verdict, probe, now);
        let effect = VerdictEffect { circuit_change, pause: limits.pace.record(&verdict, now) };
        if matches!(circuit_change, Some(CircuitChange::Closed | CircuitChange::Reachable)) {
            limits.restart_slowly(now);
        }
        let (endpoint, probe_pause) = (&self.current.endpoint.id, limits.breaker.pause());
        if let Some(change) = health_change_after(endpoint, effect, verdict, probe_pause, &context.failing) {
            // If there is no room, the next change of this kind makes up for it.
            let _ = context.health_changes.try_send(change);
        }
    }
}

/// Prepares the hold. Gives the parked events.
async fn prepare(
    task: &OrderedEndpoint,
    current: &CurrentEndpoint,
    pinned: bool,
) -> anyhow::Result<Vec<(u64, ChatToken)>> {
    // In this order: what an earlier holder stores and acknowledges after this is handed out again.
    if pinned {
        task.hand_out_again().await?;
    }
    task.parked.adopt().await?;
    for stray in task.parked.adopt_strays().await? {
        current.deliverer.give_up_lost(stray.sequence, &stray.entry).await?;
        task.parked.remove_stray(&stray).await?;
    }
    task.parked.list().await
}

//! The steps that take time: an attempt, and the storing of its end. Each is a future; its result is applied here, too.

use crate::{
    delivery::{
        deliverer::EndpointDeliverer,
        ordered::{OrderedEnd, OrderedResult},
        result::{DeliveryResult, EndpointVerdict},
    },
    endpoints::{
        ordered::{
            chat_queues::{ChatTurn, ParkRequest, SettleAction},
            holder::{
                ChatOrderHolder, HeldEvent,
                step_results::{FinishedAttempt, StepResult, TurnOutcome},
            },
            ordered_endpoint::{EndpointLimits, TaskContext},
        },
        rate_limit::RateLimit,
    },
    jetstream::{
        parked_events::{ParkedEntry, ParkedEvents},
        pending_message::PendingMessage,
    },
};
use futures::FutureExt as _;
use kurir_chassis::nats_clock::NatsClock;
use kurir_contract::{chat::ChatToken, delivery::AttemptRecord};
use std::{sync::Arc, time::Duration};

/// Wait after an attempt that could not be made or settled.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl ChatOrderHolder {
    pub(super) fn start_attempt(&mut self, turn: ChatTurn, probe: bool) {
        let (deliverer, parked) = (Arc::clone(&self.current.deliverer), self.parked.clone());
        let clock = self.clock.clone();
        let event = self.held.get(&turn.sequence).and_then(|held| held.event.clone());
        let running = async move {
            let outcome = match event.filter(|_| !turn.parked) {
                Some(event) => {
                    let made = deliverer.attempt_in_order(&event, turn.attempt.unwrap_or(1), probe).await;
                    made.map(|made| TurnOutcome::Made(event, Box::new(made)))
                }
                None => attempt_parked(&deliverer, &parked, &clock, turn, probe).await,
            };
            FinishedAttempt { turn, probe, outcome }
        };
        self.attempts.push(running.boxed());
    }

    pub(super) fn finish_attempt(
        &mut self,
        attempt: FinishedAttempt,
        limits: &mut EndpointLimits,
        context: &TaskContext,
    ) {
        let FinishedAttempt { turn: ChatTurn { sequence, chat, .. }, probe, outcome } = attempt;
        let now = self.clock.now();
        let (event, made) = match outcome {
            Ok(TurnOutcome::Made(event, made)) => (event, made),
            other => {
                limits.breaker.cancel_probe(probe, tokio::time::Instant::now());
                limits.rate.iter_mut().for_each(RateLimit::refund);
                limits.pace.refund();
                return match other {
                    Ok(TurnOutcome::NotYet(entry)) => self.chats.defer(sequence, Some(entry.attempt), entry.due),
                    Err(error) => {
                        tracing::warn!(
                            "failed to prepare a webhook delivery, which is tried again in {} s: {error:#}",
                            TRY_AGAIN_AFTER.as_secs()
                        );
                        self.chats.defer(sequence, None, now + TRY_AGAIN_AFTER);
                    }
                    Ok(TurnOutcome::Nothing | TurnOutcome::Made(..)) => self.settle(sequence, chat, None),
                };
            }
        };
        let OrderedResult { verdict, record, end } = *made;
        if verdict == EndpointVerdict::Untried {
            limits.rate.iter_mut().for_each(RateLimit::refund);
            limits.pace.refund();
        }
        let took = Duration::from_millis(record.as_ref().map_or(0, |record| record.duration_ms));
        self.apply_result(DeliveryResult { verdict, took, probe, retry_stored: false }, limits, context);
        match end {
            OrderedEnd::Settled => self.settle(sequence, chat, record),
            OrderedEnd::Untouched { until } => {
                self.chats.defer(sequence, None, until);
                self.record(record);
            }
            OrderedEnd::Again { attempt, at } => {
                self.chats.reschedule(sequence, attempt, at);
                let held = self.held.entry(sequence).or_insert_with(|| HeldEvent {
                    event_id: event.id.clone(),
                    event_subject: event.subject.to_string(),
                    event: None,
                    pending: None,
                    record: None,
                });
                let before = std::mem::replace(&mut held.record, record);
                self.record(before);
            }
        }
    }

    fn settle(&mut self, sequence: u64, chat: ChatToken, record: Option<AttemptRecord>) {
        match self.chats.settle(sequence) {
            SettleAction::Acknowledge => {
                let pending = self.held.remove(&sequence).and_then(|held| held.pending);
                self.acknowledge(pending, record);
            }
            SettleAction::Purge => {
                self.held.remove(&sequence);
                self.unpark(sequence, chat, record);
            }
            SettleAction::Later => {
                let before = self.held.get_mut(&sequence).and_then(|held| std::mem::replace(&mut held.record, record));
                self.record(before);
            }
            SettleAction::Unknown => self.record(record),
        }
    }

    pub(super) fn finish_step(&mut self, step: StepResult) {
        match step {
            StepResult::Stored(park) => self.finish_store(park),
            StepResult::Listed(parked) => self.adopt_strays(parked),
            StepResult::Ended => {}
        }
    }

    fn finish_store(&mut self, park: ParkRequest) {
        let ParkRequest { sequence, chat, .. } = park;
        self.storing -= 1;
        let then = self.chats.finish_park(sequence);
        let Some(held) = self.held.get_mut(&sequence) else { return };
        let (pending, record) = (held.pending.take(), held.record.take());
        if !then.again {
            self.held.remove(&sequence);
        }
        if then.purge {
            self.unpark(sequence, chat, record);
            self.acknowledge(pending, None);
        } else if pending.is_some() {
            self.acknowledge(pending, record);
        } else {
            self.record(record);
        }
    }

    pub(super) fn find_strays(&mut self) {
        let parked = self.parked.clone();
        self.steps.push(async move { Ok(StepResult::Listed(parked.list().await?)) }.boxed());
    }

    /// Adopts events that are unknown here at two checks in a row: such an event is no purge under way, but a repeat
    /// that must still be delivered.
    fn adopt_strays(&mut self, parked: Vec<(u64, ChatToken)>) {
        let unknown = parked.into_iter().filter(|(sequence, _)| !self.chats.contains(*sequence)).collect();
        let before = std::mem::replace(&mut self.strays, unknown);
        let now = self.clock.now();
        for (sequence, chat) in self.strays.intersection(&before) {
            self.chats.load_parked(*sequence, *chat, now);
        }
    }

    pub(super) fn start_store(&mut self, park: ParkRequest) {
        let ParkRequest { sequence, chat, attempt, due } = park;
        let Some(held) = self.held.get(&sequence) else { return };
        let (event_id, event_subject) = (held.event_id.clone(), held.event_subject.clone());
        let parked = self.parked.clone();
        let stored = async move {
            parked.store(sequence, chat, &ParkedEntry { event_id, event_subject, attempt, due }).await?;
            Ok(StepResult::Stored(park))
        };
        self.storing += 1;
        self.steps.push(stored.boxed());
    }

    /// Records the attempt before it purges the event, so that the ledger is right after a crash, too.
    fn unpark(&mut self, sequence: u64, chat: ChatToken, record: Option<AttemptRecord>) {
        let (deliverer, parked) = (Arc::clone(&self.current.deliverer), self.parked.clone());
        let unparked = async move {
            deliverer.record(record).await;
            parked.remove(sequence, chat).await?;
            Ok(StepResult::Ended)
        };
        self.steps.push(unparked.boxed());
    }

    fn acknowledge(&mut self, pending: Option<PendingMessage>, record: Option<AttemptRecord>) {
        let deliverer = Arc::clone(&self.current.deliverer);
        let Some(pending) = pending else { return self.record(record) };
        let acknowledged = async move {
            deliverer.acknowledge(pending, record).await;
            Ok(StepResult::Ended)
        };
        self.steps.push(acknowledged.boxed());
    }

    fn record(&mut self, record: Option<AttemptRecord>) {
        if record.is_some() {
            let deliverer = Arc::clone(&self.current.deliverer);
            let written = async move {
                deliverer.record(record).await;
                Ok(StepResult::Ended)
            };
            self.steps.push(written.boxed());
        }
    }
}

async fn attempt_parked(
    deliverer: &EndpointDeliverer,
    parked: &ParkedEvents,
    clock: &NatsClock,
    turn: ChatTurn,
    probe: bool,
) -> anyhow::Result<TurnOutcome> {
    let ChatTurn { sequence, chat, .. } = turn;
    let Some(entry) = parked.read(sequence, chat).await? else { return Ok(TurnOutcome::Nothing) };
    if entry.due > clock.now() {
        return Ok(TurnOutcome::NotYet(entry));
    }
    match parked.read_event(sequence, &entry).await? {
        Some(event) => {
            let made = deliverer.attempt_in_order(&event, entry.attempt, probe).await?;
            Ok(TurnOutcome::Made(Arc::new(event), Box::new(made)))
        }
        None => {
            deliverer.give_up_lost(sequence, &entry).await?;
            Ok(TurnOutcome::Nothing)
        }
    }
}

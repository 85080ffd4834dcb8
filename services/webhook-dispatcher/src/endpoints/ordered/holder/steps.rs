//! The steps that take time: an attempt, and what makes its end last. Each is a future of its own; what follows from it
//! is said here too.

use crate::{
    delivery::{
        deliverer::EndpointDeliverer,
        ordered::{OrderedEnd, OrderedResult},
        result::EndpointVerdict,
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
use kurir_contract::{chat::ChatToken, delivery::AttemptRecord};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;

/// After an attempt that could not be made or ended the broker is given this time.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl ChatOrderHolder {
    pub(super) fn begin_attempt(&mut self, turn: ChatTurn, probe: bool) {
        let (deliverer, parked) = (Arc::clone(&self.current.deliverer), self.parked.clone());
        let event = self.known.get(&turn.sequence).and_then(|known| known.event.clone());
        let tried = async move {
            let came_to = match event.filter(|_| !turn.parked) {
                Some(event) => {
                    let made = deliverer.try_in_order(&event, turn.attempt.unwrap_or(1), probe).await;
                    made.map(|made| TurnOutcome::Made(event, made))
                }
                None => from_shelf(&deliverer, &parked, turn, probe).await,
            };
            FinishedAttempt { turn, probe, came_to }
        };
        self.attempts.push(tried.boxed());
    }

    pub(super) fn tried(&mut self, tried: FinishedAttempt, limits: &mut EndpointLimits, work: &TaskContext) {
        let FinishedAttempt { turn: ChatTurn { sequence, chat, .. }, probe, came_to } = tried;
        let now = OffsetDateTime::now_utc();
        let (event, made) = match came_to {
            Ok(TurnOutcome::Made(event, made)) => (event, made),
            other => {
                limits.breaker.untried(probe, tokio::time::Instant::now());
                limits.rate.iter_mut().for_each(RateLimit::refund);
                return match other {
                    Ok(TurnOutcome::NotYet(entry)) => self.chats.untried(sequence, Some(entry.attempt), entry.due),
                    Err(error) => {
                        tracing::warn!(
                            "a webhook delivery is looked at again in {} s: {error:#}",
                            LOOK_AGAIN.as_secs()
                        );
                        self.chats.untried(sequence, None, now + LOOK_AGAIN);
                    }
                    Ok(TurnOutcome::Nothing | TurnOutcome::Made(..)) => self.settle(sequence, chat, None),
                };
            }
        };
        let OrderedResult { verdict, record, end } = made;
        if verdict == EndpointVerdict::Untried {
            limits.rate.iter_mut().for_each(RateLimit::refund);
        }
        self.verdict(verdict, probe, &mut limits.breaker, work);
        match end {
            OrderedEnd::Settled => self.settle(sequence, chat, record),
            OrderedEnd::Untouched => {
                self.chats.untried(sequence, None, now);
                self.write(record);
            }
            OrderedEnd::Again { attempt, at } => {
                self.chats.failed(sequence, attempt, at);
                let known = self.known.entry(sequence).or_insert_with(|| HeldEvent {
                    event_id: event.id.clone(),
                    event_subject: event.subject.to_string(),
                    event: None,
                    pending: None,
                    record: None,
                });
                let before = std::mem::replace(&mut known.record, record);
                self.write(before);
            }
        }
    }

    fn settle(&mut self, sequence: u64, chat: ChatToken, record: Option<AttemptRecord>) {
        match self.chats.settled(sequence) {
            SettleAction::Acknowledge => {
                let pending = self.known.remove(&sequence).and_then(|known| known.pending);
                self.acknowledge(pending, record);
            }
            SettleAction::Purge => {
                self.known.remove(&sequence);
                self.unpark(sequence, chat, record);
            }
            SettleAction::Later => {
                let before =
                    self.known.get_mut(&sequence).and_then(|known| std::mem::replace(&mut known.record, record));
                self.write(before);
            }
            SettleAction::Unknown => self.write(record),
        }
    }

    pub(super) fn done(&mut self, done: StepResult) {
        match done {
            StepResult::Stored(park) => self.stored(park),
            StepResult::Listed(parked) => self.take_strays(parked),
            StepResult::Ended => {}
        }
    }

    fn stored(&mut self, park: ParkRequest) {
        let ParkRequest { sequence, chat, .. } = park;
        self.storing -= 1;
        let then = self.chats.parked(sequence);
        let Some(known) = self.known.get_mut(&sequence) else { return };
        let (pending, record) = (known.pending.take(), known.record.take());
        if !then.again {
            self.known.remove(&sequence);
        }
        if then.purge {
            self.unpark(sequence, chat, record);
            self.acknowledge(pending, None);
        } else if pending.is_some() {
            self.acknowledge(pending, record);
        } else {
            self.write(record);
        }
    }

    pub(super) fn look_for_strays(&mut self) {
        let parked = self.parked.clone();
        self.endings.push(async move { Ok(StepResult::Listed(parked.list().await?)) }.boxed());
    }

    /// What nobody here knows at two looks is no purge that is under way: it is a repeat that is still to be made.
    fn take_strays(&mut self, parked: Vec<(u64, ChatToken)>) {
        let unknown = parked.into_iter().filter(|(sequence, _)| !self.chats.knows(*sequence)).collect();
        let before = std::mem::replace(&mut self.strays, unknown);
        let now = OffsetDateTime::now_utc();
        for (sequence, chat) in self.strays.intersection(&before) {
            self.chats.load(*sequence, *chat, now);
        }
    }

    pub(super) fn store(&mut self, park: ParkRequest) {
        let ParkRequest { sequence, chat, attempt, due } = park;
        let Some(known) = self.known.get(&sequence) else { return };
        let (event_id, event_subject) = (known.event_id.clone(), known.event_subject.clone());
        let parked = self.parked.clone();
        let stored = async move {
            parked.put(sequence, chat, &ParkedEntry { event_id, event_subject, attempt, due }).await?;
            Ok(StepResult::Stored(park))
        };
        self.storing += 1;
        self.endings.push(stored.boxed());
    }

    /// Recorded before it is purged: the ledger adds up after a crash too.
    fn unpark(&mut self, sequence: u64, chat: ChatToken, record: Option<AttemptRecord>) {
        let (deliverer, parked) = (Arc::clone(&self.current.deliverer), self.parked.clone());
        let unparked = async move {
            deliverer.write(record).await;
            parked.remove(sequence, chat).await?;
            Ok(StepResult::Ended)
        };
        self.endings.push(unparked.boxed());
    }

    fn acknowledge(&mut self, pending: Option<PendingMessage>, record: Option<AttemptRecord>) {
        let deliverer = Arc::clone(&self.current.deliverer);
        let Some(pending) = pending else { return self.write(record) };
        let acknowledged = async move {
            deliverer.acknowledge(pending, record).await;
            Ok(StepResult::Ended)
        };
        self.endings.push(acknowledged.boxed());
    }

    fn write(&mut self, record: Option<AttemptRecord>) {
        if record.is_some() {
            let deliverer = Arc::clone(&self.current.deliverer);
            let written = async move {
                deliverer.write(record).await;
                Ok(StepResult::Ended)
            };
            self.endings.push(written.boxed());
        }
    }
}

async fn from_shelf(
    deliverer: &EndpointDeliverer,
    parked: &ParkedEvents,
    turn: ChatTurn,
    probe: bool,
) -> anyhow::Result<TurnOutcome> {
    let ChatTurn { sequence, chat, .. } = turn;
    let Some(entry) = parked.get(sequence, chat).await? else { return Ok(TurnOutcome::Nothing) };
    if entry.due > OffsetDateTime::now_utc() {
        return Ok(TurnOutcome::NotYet(entry));
    }
    match parked.read_event(sequence, &entry).await? {
        Some(event) => {
            let made = deliverer.try_in_order(&event, entry.attempt, probe).await?;
            Ok(TurnOutcome::Made(Arc::new(event), made))
        }
        None => {
            deliverer.give_up_lost(sequence, &entry).await?;
            Ok(TurnOutcome::Nothing)
        }
    }
}

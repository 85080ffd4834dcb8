//! Endpoints with `ordering: "chat"`: the events of one chat reach the receiver in order, other chats go on beside it.
//!
//! Each has a task of its own in every dispatcher, and one of them holds the endpoint: NATS serves nobody else
//! (`pinned`; `lease` when there is nothing to serve). `holding` is what the holder does: `chats` decides, `parked` is
//! what waits in RETRIES. `shifts` starts and ends the tasks.
//!
//! **What is promised, and why it holds.** The first arrivals of a chat's events are in order, and the next does not go
//! before the one before it was taken with 2xx or rests in the dead letters. A dispatcher sends an event only after it
//! saw all before it in the chat settled, or found them settled when it took over: everything that is not settled comes
//! from EVENTS again then, in its order, or lies in RETRIES. That is true of each dispatcher by itself. So one that was
//! frozen and wakes does no harm, although it does not know that it lost its place: what it sends was sent, or is being
//! sent, by the one that has it, or comes after what it sent itself. A crash at any step repeats, and loses nothing.

mod chats;
mod holding;
mod lease;
mod parked;
mod pinned;
mod shifts;

pub use pinned::{GROUP, PRIORITY_TIMEOUT};
pub use shifts::OrderedTasks;

use super::{
    Endpoint, FailingEndpoints, breaker::CircuitBreaker, consumer, consumer::PullSource, news::HealthChange,
    rate_limit::RateLimit,
};
use crate::delivery::{AckTracker, EndpointDeliverer};
use anyhow::Context as _;
use async_nats::jetstream::consumer::Info;
use holding::{ChatOrderHolder, HoldEnd};
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::stream;
use lease::RetryLease;
use parked::ParkedEvents;
use pinned::{PinnedPull, Pulled};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// How soon whoever does not hold the endpoint sees that nobody does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before the place is taken again after something went wrong.
const PAUSE: Duration = Duration::from_millis(500);

/// What a task works with.
#[derive(Clone)]
struct TaskContext {
    broker: Broker,
    desk: Arc<AckTracker>,
    news: mpsc::Sender<HealthChange>,
    failing: FailingEndpoints,
    /// Of the worker's list.
    station: u64,
    /// The endpoint is.
    deleted: CancellationToken,
}

/// The endpoint as it is at the moment.
#[derive(Clone)]
struct CurrentEndpoint {
    endpoint: Arc<Endpoint>,
    deliverer: Arc<EndpointDeliverer>,
}

/// Why the endpoint is held.
enum HoldMode {
    /// NATS serves us under this id.
    Pinned(String),
    /// NATS serves nobody.
    Leased,
}

struct OrderedTask {
    work: TaskContext,
    current: watch::Receiver<CurrentEndpoint>,
    stop: CancellationToken,
    shelf: ParkedEvents,
    lease: RetryLease,
    limits: EndpointLimits,
}

/// They outlast the place.
struct EndpointLimits {
    breaker: CircuitBreaker,
    rate: Option<RateLimit>,
}

impl OrderedTask {
    async fn new(
        work: TaskContext,
        current: watch::Receiver<CurrentEndpoint>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let endpoint = Arc::clone(&current.borrow().endpoint);
        Ok(Self {
            shelf: ParkedEvents::open(work.broker.clone(), endpoint.id.clone()).await?,
            lease: RetryLease::new(work.broker.clone(), endpoint.id.clone()),
            limits: EndpointLimits { breaker: CircuitBreaker::default(), rate: None },
            work,
            current,
            stop,
        })
    }

    /// Waits for the place, holds it, and so on until it is stopped.
    async fn run(mut self) {
        let id = self.current.borrow().endpoint.id.clone();
        let mut next = None;
        while !self.stop.is_cancelled() {
            let place = match next.take() {
                Some(place) => Ok(Some(place)),
                None => self.wait_for_place().await,
            };
            let ended = match place {
                Ok(None) => break,
                Ok(Some(place)) => self.hold(place).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(HoldEnd::Stopped) => break,
                Ok(HoldEnd::Lost { why, to }) => {
                    tracing::info!(endpoint.id = %id, "the order of webhook endpoint {id} is another's to keep: {why}");
                    next = to;
                }
                Err(error) => {
                    if self.work.broker.is_connected() {
                        tracing::warn!(endpoint.id = %id, "keeping the order of webhook endpoint {id} begins anew: {error:#}");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.lease.give_up().await;
    }

    async fn hold(&mut self, place: HoldMode) -> anyhow::Result<HoldEnd> {
        let holding = ChatOrderHolder::begin(self, place).await?;
        holding.run(self).await
    }

    async fn wait_for_place(&mut self) -> anyhow::Result<Option<HoldMode>> {
        let consumer = PullSource::Events.consumer(&self.current.borrow().endpoint.id);
        let mut pull = PinnedPull::open(&self.work.broker.client, consumer).await?;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            pull.ask(1, None).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    pull.close().await;
                    return Ok(None);
                }
                came = pull.next() => match came {
                    Pulled::Message { pin, .. } => return Ok(Some(HoldMode::Pinned(pin))),
                    Pulled::Unpinned(message) => pull.give_back(message).await,
                    Pulled::Word | Pulled::Refused => {}
                    Pulled::Ended => anyhow::bail!("the subscription to events ended"),
                },
                _ = looks.tick() => {
                    if !pull.is_fresh() && self.work.broker.is_connected() {
                        self.make_consumer().await?;
                    }
                    if self.work.broker.is_connected() && self.is_free().await? {
                        return Ok(Some(HoldMode::Leased));
                    }
                }
            }
        }
    }

    /// NATS serves nobody, and something is parked: whoever has the lease makes its retries.
    async fn is_free(&mut self) -> anyhow::Result<bool> {
        let info = self.consumer().await?;
        if !is_nobodys(&info) || (info.num_ack_pending == 0 && self.shelf.is_empty().await?) {
            return Ok(false);
        }
        if !self.lease.claim().await? {
            return Ok(false);
        }
        if info.num_ack_pending > 0 {
            // Whoever had it died with these. Handed out again, they are what somebody is served.
            self.hand_out_again().await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// All that is not acknowledged, at once and in its order.
    async fn hand_out_again(&self) -> anyhow::Result<()> {
        let consumer = PullSource::Events.consumer(&self.current.borrow().endpoint.id);
        let events = self.events().await?;
        events.reset_consumer(&consumer, None).await.context("failed to have events handed out again")?;
        Ok(())
    }

    async fn consumer(&self) -> anyhow::Result<Info> {
        let consumer = PullSource::Events.consumer(&self.current.borrow().endpoint.id);
        self.events().await?.consumer_info(consumer).await.context("failed to see whom NATS serves")
    }

    async fn make_consumer(&self) -> anyhow::Result<()> {
        let endpoint = Arc::clone(&self.current.borrow().endpoint);
        consumer::make(&self.work.broker, PullSource::Events, &endpoint).await
    }

    async fn events(&self) -> anyhow::Result<async_nats::jetstream::stream::Stream<()>> {
        self.work.broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to name a stream")
    }
}

fn is_nobodys(consumer: &Info) -> bool {
    consumer.priority_groups.iter().all(|group| group.pinned_client_id.as_ref().is_none_or(String::is_empty))
}

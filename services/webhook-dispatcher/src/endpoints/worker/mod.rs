//! The dispatcher's one worker: it asks for events, delivers them, and at the end gives back what it did not begin.
//!
//! One task holds all deliveries of all endpoints; a task for each would cost a third of the throughput. Promises that
//! nothing is taken without a free slot, that one endpoint's trouble costs no other a slot, that a broker that goes
//! away and comes back is no more than a pause, that a change of an endpoint touches nothing that is in flight, and that
//! at the shutdown everything that was begun ends and everything else is given back at once.
//!
//! `members` are the endpoints it works for, `supply` is what it asks the broker for, `messages` what becomes of what
//! comes, `order` hands endpoints that keep their chats in order to tasks of their own.

mod endpoint_changes;
mod messages;
mod ordered_endpoints;
mod pulls;

use crate::{
    delivery::{context::DeliveryContext, result::DeliveryResult},
    endpoints::{
        endpoint_table::EndpointTable, failing_endpoints::FailingEndpoints, health_change::HealthChange,
        ordered::ordered_tasks::OrderedTasks, peer_count::PeerCount, watcher::EndpointChange,
    },
    jetstream::{
        consumer::PullId,
        pending_message::{AckTracker, PendingMessage},
        pull_inbox::{InboxItem, PullInbox},
    },
};
use anyhow::Context as _;
use async_nats::Subject;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::endpoint::EndpointId;
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
pub struct WorkerInputs {
    pub broker: Broker,
    pub tools: Arc<DeliveryContext>,
    pub changes: mpsc::Receiver<EndpointChange>,
    pub news: mpsc::Sender<HealthChange>,
    pub failing: FailingEndpoints,
    pub peers: PeerCount,
}

pub struct DeliveryWorker {
    broker: Broker,
    tools: Arc<DeliveryContext>,
    changes: mpsc::Receiver<EndpointChange>,
    news: mpsc::Sender<HealthChange>,
    failing: FailingEndpoints,
    peers: PeerCount,
    inbox: PullInbox,
    tracker: Arc<AckTracker>,
    returned: mpsc::UnboundedReceiver<Subject>,
    table: EndpointTable,
    ordered_tasks: OrderedTasks,
    in_delivery: FuturesUnordered<Delivery>,
    jobs: FuturesUnordered<BoxFuture<'static, JobResult>>,
    making: Arc<Semaphore>,
    connects: u64,
    looks_for_retries: Instant,
    /// Lines whose consumer has not been asked for once; ready is who has none, and was told of all endpoints.
    untried: HashSet<PullId>,
    complete: bool,
    begun: Option<oneshot::Sender<()>>,
}

type Delivery = BoxFuture<'static, (PullId, DeliveryResult)>;

/// What went on beside the deliveries.
enum JobResult {
    Made(PullId, anyhow::Result<()>),
    /// Endpoints that have retries.
    Retries(Vec<EndpointId>),
    /// Endpoints that have something parked.
    Parked(Vec<EndpointId>),
    /// Nothing of this endpoint is parked any more.
    Released(EndpointId, anyhow::Result<()>),
}

impl DeliveryWorker {
    /// Says `begun` when every endpoint that there is has its consumer.
    ///
    /// # Errors
    /// If the client itself is at its end.
    pub async fn new(supplies: WorkerInputs, begun: oneshot::Sender<()>) -> anyhow::Result<Self> {
        let WorkerInputs { broker, tools, changes, news, failing, peers } = supplies;
        let (tracker, returned) = AckTracker::open(broker.client.clone());
        let ordered_tasks = OrderedTasks::new(broker.clone(), Arc::clone(&tracker), news.clone(), failing.clone());
        Ok(Self {
            inbox: PullInbox::open(&broker.client).await?,
            connects: connects(&broker),
            looks_for_retries: Instant::now() + LOOK_FOR_RETRIES,
            broker,
            tools,
            changes,
            news,
            failing,
            peers,
            tracker,
            returned,
            table: EndpointTable::default(),
            ordered_tasks,
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
                Some((pull, result)) = self.in_delivery.next(), if !self.in_delivery.is_empty() => {
                    self.ended(pull, result).await;
                }
                Some(change) = self.changes.recv() => self.change(change),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.done(done).await,
                Some(reply) = self.returned.recv() => give_back(&self.broker, reply).await,
                ended = self.ordered_tasks.ended() => {
                    let endpoint = ended.context("the task of an ordered webhook endpoint broke")?;
                    self.shift_ended(&endpoint);
                }
                _ = tick.tick() => self.look_around().await,
                arrival = self.inbox.next() => match arrival {
                    InboxItem::Message(message) => self.take(message).await,
                    InboxItem::Status { pull, generation, said } => self.heard(pull, generation, said).await,
                    InboxItem::Ended => anyhow::bail!("the subscription to events ended"),
                },
            }
        }
        self.stop(drain).await;
        Ok(())
    }

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
        self.ordered_tasks.end_all();
        // Given back before the wait for what is in delivery: somebody else can have it meanwhile.
        let fetched = self.inbox.close(CLOSE_WITHIN).await;
        let (begun, fetched_only) = (self.in_delivery.len(), fetched.len());
        for mut message in fetched {
            drop(PendingMessage::of(&mut message, &self.tracker, 0, Duration::ZERO));
        }
        let deadline = Instant::now() + drain;
        while !self.in_delivery.is_empty() || !self.ordered_tasks.is_empty() {
            tokio::select! {
                Some(_) = self.in_delivery.next(), if !self.in_delivery.is_empty() => {}
                // One that broke ends with all others.
                ended = self.ordered_tasks.ended() => if ended.is_err() { break },
                Some(reply) = self.returned.recv() => give_back(&self.broker, reply).await,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let cut = self.in_delivery.len();
        drop(self.in_delivery);
        drop(self.ordered_tasks);
        drop(self.tracker);
        // What waits for its record holds the desk until it is written: this ends with the last of it.
        drop(self.tools);
        drop(self.table);
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

//! The dispatcher's one worker: it requests events, delivers them, and at the shutdown gives back what it has not
//! started.
//!
//! A few tasks hold the deliveries of all endpoints; a task for each delivery would cost a third of the throughput. The worker
//! guarantees that nothing is taken without room for it, that a failing endpoint costs no other endpoint its room, that
//! a broker that goes away and comes back is only a pause, that a change of an endpoint affects nothing that is in
//! flight, and that at the shutdown all started deliveries end and everything else is given back at once.
//!
//! `endpoint_changes` opens and closes endpoints, `pulls` creates consumers and requests messages, `messages` starts the
//! deliveries of what comes, which `delivery_runners` runs on all cores, `ordered_endpoints` hands endpoints that keep their chats in order to tasks of their own.

mod delivery_runners;
mod endpoint_changes;
mod messages;
mod ordered_endpoints;
mod pulls;

use crate::{
    delivery::context::DeliveryContext,
    endpoints::{
        endpoint_table::EndpointTable, failing_endpoints::FailingEndpoints, health_change::HealthChange,
        ordered::ordered_tasks::OrderedTasks, peer_count::PeerCount, watcher::EndpointChange,
    },
    jetstream::{
        consumer::{PullId, StreamChange},
        pending_message::{AckTracker, PendingMessage},
        pull_inbox::{InboxItem, PullInbox},
    },
};
use anyhow::Context as _;
use async_nats::Subject;
use delivery_runners::DeliveryRunners;
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

/// How soon the worker notices a new connection, the silence of NATS, or a limit or circuit that allows more.
const TICK: Duration = Duration::from_millis(100);
/// How soon a dispatcher takes part in the retries of an endpoint whose attempts only others made.
const RETRIES_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The same for an endpoint that was enabled: its retries may have waited for that.
const RETRIES_CHECK_SOON: Duration = Duration::from_millis(500);
/// How long NATS may take to end the requests at the shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Consumers that are created at the same time. With this number, 10,000 take five seconds.
const MAX_CONCURRENT_CREATIONS: usize = 64;

/// What a worker needs.
pub struct WorkerInputs {
    pub broker: Broker,
    pub context: Arc<DeliveryContext>,
    pub changes: mpsc::Receiver<EndpointChange>,
    pub health_changes: mpsc::Sender<HealthChange>,
    pub failing: FailingEndpoints,
    pub peers: PeerCount,
}

pub struct DeliveryWorker {
    broker: Broker,
    context: Arc<DeliveryContext>,
    changes: mpsc::Receiver<EndpointChange>,
    health_changes: mpsc::Sender<HealthChange>,
    failing: FailingEndpoints,
    peers: PeerCount,
    inbox: PullInbox,
    tracker: Arc<AckTracker>,
    returned: mpsc::UnboundedReceiver<Subject>,
    table: EndpointTable,
    ordered_tasks: OrderedTasks,
    in_delivery: DeliveryRunners,
    jobs: FuturesUnordered<BoxFuture<'static, JobResult>>,
    creations: Arc<Semaphore>,
    connections: u64,
    next_retries_check: Instant,
    /// Pulls whose consumer was not created yet. The worker is ready when this is empty and all endpoints are listed.
    uncreated: HashSet<PullId>,
    complete: bool,
    ready: Option<oneshot::Sender<()>>,
}

/// The result of a job besides the deliveries.
enum JobResult {
    Created(PullId, anyhow::Result<Option<StreamChange>>),
    /// The endpoint's settings name the present stream.
    StreamAdopted(EndpointId, anyhow::Result<()>),
    /// Endpoints that have retries.
    Retries(Vec<EndpointId>),
    /// Endpoints that have parked events.
    Parked(Vec<EndpointId>),
    /// The endpoint has no parked events any more.
    Released(EndpointId, anyhow::Result<()>),
}

impl DeliveryWorker {
    /// `ready` is signalled when every endpoint has its consumer.
    ///
    /// # Errors
    /// If the client itself has ended.
    pub async fn new(inputs: WorkerInputs, ready: oneshot::Sender<()>) -> anyhow::Result<Self> {
        let WorkerInputs { broker, context, changes, health_changes, failing, peers } = inputs;
        let (tracker, returned) = AckTracker::open(broker.client.clone());
        let ordered_tasks =
            OrderedTasks::new(broker.clone(), Arc::clone(&tracker), health_changes.clone(), failing.clone());
        Ok(Self {
            inbox: PullInbox::open(&broker.client).await?,
            connections: connection_count(&broker),
            next_retries_check: Instant::now() + RETRIES_CHECK_INTERVAL,
            broker,
            context,
            changes,
            health_changes,
            failing,
            peers,
            tracker,
            returned,
            table: EndpointTable::default(),
            ordered_tasks,
            in_delivery: DeliveryRunners::start(),
            jobs: FuturesUnordered::new(),
            creations: Arc::new(Semaphore::new(MAX_CONCURRENT_CREATIONS)),
            uncreated: HashSet::new(),
            complete: false,
            ready: Some(ready),
        })
    }

    /// Works until the shutdown, then finishes what it has started, for at most `drain`.
    ///
    /// # Errors
    /// If the client itself has ended. A broker that is away is waited for.
    pub async fn run(mut self, drain: Duration, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut stop = pin!(shutdown.cancelled());
        let mut tick = new_ticker();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some((pull, result)) = self.in_delivery.next(), if !self.in_delivery.is_empty() => {
                    self.finish_delivery(pull, result).await;
                }
                Some(change) = self.changes.recv() => self.apply_change(change),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.finish_job(done).await,
                Some(reply) = self.returned.recv() => give_back(&self.broker, reply).await,
                ended = self.ordered_tasks.next_ended() => {
                    let endpoint = ended.context("the task of an ordered webhook endpoint panicked")?;
                    self.ordered_task_ended(&endpoint);
                }
                _ = tick.tick() => self.check_all().await,
                arrival = self.inbox.next() => match arrival {
                    InboxItem::Message(message) => self.take_message(message).await,
                    InboxItem::Status { pull, generation, status } => self.apply_status(pull, generation, status).await,
                    InboxItem::Ended => anyhow::bail!("the subscription to events ended"),
                },
            }
        }
        self.drain(drain).await;
        Ok(())
    }

    fn signal_if_ready(&mut self) {
        if self.complete
            && self.uncreated.is_empty()
            && let Some(ready) = self.ready.take()
        {
            // The readiness task may have ended.
            let _ = ready.send(());
        }
    }

    async fn drain(mut self, timeout: Duration) {
        self.ordered_tasks.stop_all();
        // Given back before the wait for the deliveries: other dispatchers can take these messages meanwhile.
        let fetched = self.inbox.close(CLOSE_TIMEOUT).await;
        let (started, fetched_only) = (self.in_delivery.len(), fetched.len());
        for mut message in fetched {
            drop(PendingMessage::take_from(&mut message, &self.tracker, 0, Duration::ZERO));
        }
        let deadline = Instant::now() + timeout;
        while !self.in_delivery.is_empty() || !self.ordered_tasks.is_empty() {
            tokio::select! {
                Some(_) = self.in_delivery.next(), if !self.in_delivery.is_empty() => {}
                // If a task panicked, all others end with it.
                ended = self.ordered_tasks.next_ended() => if ended.is_err() { break },
                Some(reply) = self.returned.recv() => give_back(&self.broker, reply).await,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let cut = self.in_delivery.len();
        drop(self.in_delivery);
        drop(self.ordered_tasks);
        drop(self.tracker);
        // Messages that wait for their record hold the tracker until it is written. The channel closes after the last
        // of them.
        drop(self.context);
        drop(self.table);
        while let Some(reply) = self.returned.recv().await {
            give_back(&self.broker, reply).await;
        }
        tracing::info!(
            "stopped webhook deliveries: {} in delivery ended, {} given back",
            started - cut,
            fetched_only + cut
        );
    }
}

async fn give_back(broker: &Broker, reply: Subject) {
    // Only a client that has ended refuses this. NATS gives the message to another dispatcher after `ack_wait`.
    let _ = broker.client.publish(reply, async_nats::jetstream::AckKind::Nak(None).into()).await;
}

fn new_ticker() -> Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn connection_count(broker: &Broker) -> u64 {
    broker.client.statistics().connects.load(atomic::Ordering::Relaxed)
}

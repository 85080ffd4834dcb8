//! The life of one endpoint's work: pull, deliver, settle, and at the end give back.
//!
//! One task holds all deliveries of its source; a task for each would cost a third of the throughput. Promises that
//! nothing is taken without a free slot, that a broker that goes away and comes back is no more than a pause, and that
//! at the shutdown everything that was begun ends and everything else is given back at once.

use super::{
    Endpoint, Source, consumer,
    pull::{Pull, Pulled},
    settled::Taken,
};
use crate::delivery::{Deliverer, Desk, Pending};
use async_nats::{
    Message,
    jetstream::consumer::{Consumer, pull::Config},
};
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::Instant};

/// How long NATS may take to end the requests at the shutdown.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// The pause before the first and before each further try to mend a pull that does not work.
const MEND_PAUSE: Duration = Duration::from_millis(50);
const MEND_PAUSE_CAP: Duration = Duration::from_secs(5);

pub struct Worker {
    source: Source,
    endpoint: Arc<Endpoint>,
    broker: Broker,
    deliverer: Arc<Deliverer>,
}

impl Worker {
    #[must_use]
    pub fn new(source: Source, endpoint: Arc<Endpoint>, broker: Broker, deliverer: Arc<Deliverer>) -> Self {
        Self { source, endpoint, broker, deliverer }
    }

    /// Works until the shutdown, then for at most `drain` on what it has begun. Says `begun` when its consumer is
    /// there.
    ///
    /// # Errors
    /// If the client itself is at its end. A broker that is away is waited for.
    pub async fn run(
        self,
        begun: oneshot::Sender<()>,
        drain: Duration,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut stop = pin!(shutdown.cancelled());
        let consumer = tokio::select! {
            consumer = consumer::ready(&self.broker, self.source, &self.endpoint) => consumer,
            () = &mut stop => return Ok(()),
        };
        let slots = self.source.slots(&self.endpoint);
        let mut pull = Pull::open(&self.broker.client, consumer, slots).await?;
        let (desk, mut returned) = Desk::open(self.broker.client.clone(), &self.endpoint, slots);
        let _ = begun.send(());

        let mut in_delivery = FuturesUnordered::new();
        let mut mending: Option<BoxFuture<'_, Consumer<Config>>> = None;
        let mut mend_pause = MEND_PAUSE;
        loop {
            let free = slots - in_delivery.len();
            if mending.is_none() {
                pull.ask(free).await;
            }
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(()) = in_delivery.next(), if !in_delivery.is_empty() => {}
                Some(reply) = returned.recv() => self.give_back(reply).await,
                Some(consumer) = OptionFuture::from(mending.as_mut()) => {
                    mending = None;
                    pull.begin_anew(consumer);
                }
                pulled = pull.next(), if mending.is_none() && free > 0 => match pulled {
                    Pulled::Message(message) => {
                        mend_pause = MEND_PAUSE;
                        if let Some((pending, message)) = take(message, &desk).await {
                            in_delivery.push(self.deliverer.deliver(self.source, pending, message));
                        }
                    }
                    // The next turn asks again.
                    Pulled::Expired => {}
                    Pulled::Trouble(what) => {
                        tracing::info!(endpoint.id = %self.endpoint.id, "taking up webhook work anew: {what}");
                        mending = Some(self.mend(mend_pause).boxed());
                        mend_pause = (mend_pause * 2).min(MEND_PAUSE_CAP);
                    }
                },
            }
        }
        drop(mending);

        // Given back before the wait for what is in delivery: somebody else can have it meanwhile.
        let fetched = pull.close(CLOSE_WITHIN).await;
        let (begun, fetched_only) = (in_delivery.len(), fetched.len());
        drop(fetched.into_iter().filter_map(|mut message| Pending::of(&mut message, &desk)).collect::<Vec<_>>());
        let deadline = Instant::now() + drain;
        while !in_delivery.is_empty() {
            tokio::select! {
                Some(()) = in_delivery.next() => {}
                Some(reply) = returned.recv() => self.give_back(reply).await,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let cut = in_delivery.len();
        drop(in_delivery);
        drop(desk);
        while let Some(reply) = returned.recv().await {
            self.give_back(reply).await;
        }
        tracing::info!(
            endpoint.id = %self.endpoint.id,
            "stopped {}: {} in delivery ended, {} given back",
            self.source.task_name(),
            begun - cut,
            fetched_only + cut
        );
        Ok(())
    }

    async fn mend(&self, pause: Duration) -> Consumer<Config> {
        tokio::time::sleep(pause).await;
        consumer::ready(&self.broker, self.source, &self.endpoint).await
    }

    async fn give_back(&self, reply: async_nats::Subject) {
        // Refused only by a client that is at its end; the broker gives it to another after ack_wait.
        let _ = self.broker.client.publish(reply, async_nats::jetstream::AckKind::Nak(None).into()).await;
    }
}

/// A message that is to be delivered; one that was settled already is not.
async fn take(mut message: Message, desk: &Arc<Desk>) -> Option<(Pending, Message)> {
    // None is no message of JetStream's: nobody else knows the inbox, so this cannot be, and has nothing to settle.
    let pending = Pending::of(&mut message, desk)?;
    match pending.begin() {
        Taken::Deliver => return Some((pending, message)),
        Taken::AcknowledgeAgain => pending.acknowledge().await,
        Taken::Ignore => pending.ignore(),
    }
    None
}

//! Counts the dispatchers, for limits that they share. Each counts the others by their answers to a ping.
//!
//! A dispatcher that starts announces itself. Until the others have counted it, it sends nothing to which a shared limit
//! applies; they count it at once. A dispatcher that has gone is missed a little later.

use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{service::ServiceName, subject};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The interval between two counts. For this long a limit may be lower than it must be after a dispatcher left.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the announcement may take to reach the others.
const ANNOUNCEMENT_TIME: Duration = Duration::from_millis(200);
/// A lower count is believed when it comes twice in a row: a dispatcher that is busy may answer late.
const LOWER_COUNTS: u32 = 2;

/// The number of dispatchers: at least one, this one.
#[derive(Clone)]
pub struct PeerCount(Arc<AtomicUsize>);

impl Default for PeerCount {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(UNKNOWN)))
    }
}

/// Not counted yet.
const UNKNOWN: usize = 0;

impl PeerCount {
    /// None until this dispatcher has counted the others, and they have counted it.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|count| *count != UNKNOWN)
    }

    /// Counts until the shutdown.
    ///
    /// # Errors
    /// None: while NATS is away, the last count stands.
    pub async fn run(self, broker: Broker, shutdown: CancellationToken) -> anyhow::Result<()> {
        let counting = async {
            loop {
                if let Err(error) = self.announce_and_count(&broker).await {
                    tracing::debug!("counting the dispatchers again: {error:#}");
                }
                tokio::time::sleep(ANSWER_TIMEOUT).await;
            }
        };
        tokio::select! {
            never = counting => never,
            () = shutdown.cancelled() => Ok(()),
        }
    }

    /// Counts until the client refuses something.
    async fn announce_and_count(&self, broker: &Broker) -> anyhow::Result<()> {
        broker.wait_until_ready().await;
        let me = format!("{:032x}", rand::random::<u128>());
        let joined = subject::service_joined(ServiceName::WebhookDispatcher);
        let mut joining = broker.client.subscribe(joined.clone()).await?;
        broker.client.publish(joined, me.clone().into()).await?;
        // The others count, too, when they hear of this one.
        let (counted, ()) =
            tokio::join!(count_dispatchers(broker), tokio::time::sleep(ANSWER_TIMEOUT + ANNOUNCEMENT_TIME));
        self.0.store(counted.unwrap_or(1).max(1), Ordering::Relaxed);
        let mut lower = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(COUNT_INTERVAL) => {}
                joined = joining.next() => {
                    let joined = joined.ok_or_else(|| anyhow::anyhow!("the subscription ended"))?;
                    if joined.payload == me.as_bytes() {
                        continue;
                    }
                    // Its share is free before it sends.
                    self.0.fetch_add(1, Ordering::Relaxed);
                    lower = 0;
                }
            }
            let Some(count) = count_dispatchers(broker).await else { continue };
            lower = if count < self.0.load(Ordering::Relaxed) { lower + 1 } else { 0 };
            if lower == 0 || lower >= LOWER_COUNTS {
                self.0.store(count.max(1), Ordering::Relaxed);
                lower = 0;
            }
        }
    }
}

async fn count_dispatchers(broker: &Broker) -> Option<usize> {
    let inbox = broker.client.new_inbox();
    let mut answers = broker.client.subscribe(inbox.clone()).await.ok()?;
    let ping = subject::service_ping(ServiceName::WebhookDispatcher);
    broker.client.publish_with_reply(ping, inbox, "".into()).await.ok()?;
    let mut count = 0;
    let counted = async {
        while let Some(answer) = answers.next().await {
            // A status means that nobody listens.
            count += usize::from(answer.status.is_none());
        }
    };
    let _ = tokio::time::timeout(ANSWER_TIMEOUT, counted).await;
    (count > 0).then_some(count)
}

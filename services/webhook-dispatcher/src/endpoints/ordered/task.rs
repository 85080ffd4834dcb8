//! The task of an ordered endpoint: it waits until this dispatcher can hold the endpoint, and holds it.

use crate::{
    endpoints::ordered::{
        holder::{ChatOrderHolder, HoldEnd},
        ordered_endpoint::{HoldMode, OrderedEndpoint, is_unpinned},
    },
    jetstream::{
        consumer::PullSource,
        parked_events::ParkedEvents,
        pinned_pull::{PinnedPull, Pulled},
    },
};
use kurir_contract::endpoint::EndpointId;
use std::time::Duration;

/// How soon a waiting dispatcher notices that no dispatcher holds the endpoint.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Wait after an error.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

impl OrderedEndpoint {
    /// Waits for the hold, holds the endpoint, and repeats this until it is stopped.
    pub async fn run(mut self) {
        let id = self.current.borrow().endpoint.id.clone();
        let mut next = None;
        while !self.stop.is_cancelled() {
            let mode = match next.take() {
                Some(mode) => Ok(Some(mode)),
                None => self.wait_for_hold().await,
            };
            let ended = match mode {
                Ok(None) => break,
                Ok(Some(mode)) => self.hold(mode).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(HoldEnd::Stopped) => break,
                Ok(HoldEnd::Lost { why, to }) => {
                    tracing::info!(endpoint.id = %id, "this dispatcher no longer keeps webhook endpoint {id} in order: {why}");
                    next = to;
                }
                Err(error) => {
                    if self.context.broker.is_connected() {
                        tracing::warn!(endpoint.id = %id, "failed to keep webhook endpoint {id} in order, which is tried again: {error:#}");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                    self.repair().await;
                }
            }
        }
        self.lease.release().await;
    }

    async fn hold(&mut self, mode: HoldMode) -> anyhow::Result<HoldEnd> {
        // The stream may be another one than at the last hold.
        self.parked = ParkedEvents::open(self.context.broker.clone(), self.parked_endpoint()).await?;
        let holder = ChatOrderHolder::start(self, mode).await?;
        holder.run(self).await
    }

    /// Creates what has vanished from NATS: a stream, or the consumer. Waits while NATS is away.
    async fn repair(&self) {
        let stop = self.stop.clone();
        let repaired = async {
            self.context.broker.wait_until_ready().await;
            if let Err(error) = self.ensure_consumer().await {
                tracing::debug!("failed to create the consumer of an ordered webhook endpoint: {error:#}");
            }
        };
        stop.run_until_cancelled(repaired).await;
    }

    fn parked_endpoint(&self) -> EndpointId {
        self.current.borrow().endpoint.id.clone()
    }

    async fn wait_for_hold(&mut self) -> anyhow::Result<Option<HoldMode>> {
        let consumer = PullSource::Events.consumer_name(&self.current.borrow().endpoint.id);
        let mut pull = PinnedPull::open(&self.context.broker.client, consumer).await?;
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            pull.request_or_renew(1, None).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    pull.close().await;
                    return Ok(None);
                }
                pulled = pull.next() => match pulled {
                    Pulled::Message { pin, .. } => return Ok(Some(HoldMode::Pinned(pin))),
                    Pulled::Unpinned(message) => pull.give_back(message).await,
                    Pulled::Status | Pulled::Refused => {}
                    Pulled::Ended => anyhow::bail!("the subscription to events ended"),
                },
                _ = checks.tick() => {
                    if !pull.is_fresh() && self.context.broker.is_connected() {
                        self.ensure_consumer().await?;
                    }
                    // An error here lets the task create what has vanished.
                    if self.context.broker.is_connected() && self.is_free().await? {
                        return Ok(Some(HoldMode::Leased));
                    }
                }
            }
        }
    }

    /// Whether we may hold the endpoint without a pin: NATS has pinned no client, there are parked events, and the
    /// lease is ours.
    async fn is_free(&mut self) -> anyhow::Result<bool> {
        let info = self.consumer_info().await?;
        if !is_unpinned(&info) || (info.num_ack_pending == 0 && self.parked.is_empty().await?) {
            return Ok(false);
        }
        if !self.lease.claim().await? {
            return Ok(false);
        }
        if info.num_ack_pending > 0 {
            // Their dispatcher died. When they are handed out again, NATS pins a client for them.
            self.hand_out_again().await?;
            return Ok(false);
        }
        Ok(true)
    }
}

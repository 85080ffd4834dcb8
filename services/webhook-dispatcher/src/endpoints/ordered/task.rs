//! The task of an ordered endpoint: waits until this dispatcher holds it, and holds it.

use crate::{
    endpoints::ordered::{
        holder::{ChatOrderHolder, HoldEnd},
        ordered_endpoint::{HoldMode, OrderedEndpoint, is_nobodys},
    },
    jetstream::{
        consumer::PullSource,
        pinned_pull::{PinnedPull, Pulled},
    },
};
use std::time::Duration;

/// How soon whoever does not hold the endpoint sees that nobody does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before the place is taken again after something went wrong.
const PAUSE: Duration = Duration::from_millis(500);

impl OrderedEndpoint {
    /// Waits for the place, holds it, and so on until it is stopped.
    pub async fn run(mut self) {
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
        if !is_nobodys(&info) || (info.num_ack_pending == 0 && self.parked.is_empty().await?) {
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
}

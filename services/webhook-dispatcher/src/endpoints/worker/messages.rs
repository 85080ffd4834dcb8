//! What becomes of a message: taken, delivered or given back; what its end says about its endpoint.

use crate::{
    delivery::result::{DeliveryResult, EndpointVerdict},
    endpoints::{
        circuit_breaker::CircuitChange,
        health_change::{HealthChange, news_of},
        worker::DeliveryWorker,
    },
    jetstream::{
        ack_subject::AckSubject,
        consumer::{PullId, PullSource, SlotId},
        pending_message::PendingMessage,
        recent_acks::Claim,
    },
};
use async_nats::Message;
use futures::FutureExt as _;
use kurir_contract::endpoint::EventOrdering;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl DeliveryWorker {
    pub(super) async fn take(&mut self, mut message: Message) {
        // Whatever is no message of a consumer has nothing to settle.
        let consumer = message.reply.as_ref().and_then(|reply| AckSubject::read(reply)).map(|handed| handed.consumer);
        let id = consumer.and_then(|consumer| self.table.of_consumer(consumer));
        let Some((id, slot)) = id.and_then(|id| Some((id, self.table.get(id.slot)?))) else {
            // Of an endpoint that was closed meanwhile: whoever has it open gets it.
            drop(PendingMessage::of(&mut message, &self.tracker, 0, Duration::ZERO));
            return;
        };
        let deliverer = Arc::clone(&slot.deliverer);
        if id.source == PullSource::Events && slot.endpoint.ordering == EventOrdering::Chat {
            // Asked for before the endpoint kept its chats in order.
            drop(PendingMessage::of(&mut message, &self.tracker, 0, Duration::ZERO));
            return;
        }
        let Some(budget) = slot.budget(id.source) else { return };
        budget.arrived(Instant::now());
        let ack_wait = slot.endpoint.ack_wait;
        let Some(pending) = PendingMessage::of(&mut message, &self.tracker, id.slot, ack_wait) else { return };
        match pending.begin() {
            Claim::AcknowledgeAgain => pending.acknowledge().await,
            Claim::Ignore => pending.ignore(),
            // Asked for when the endpoint took more, or before it was disabled: it comes again when there is a slot.
            Claim::Deliver if slot.budget(id.source).is_none_or(|budget| !budget.has_room()) => drop(pending),
            Claim::Deliver => match slot.breaker.sends(Instant::now()) {
                // Asked for before the circuit opened: it is given back untouched.
                None => drop(pending),
                Some(probe) => {
                    if let Some(limit) = &mut slot.limit {
                        limit.spend();
                    }
                    if let Some(budget) = slot.budget(id.source) {
                        budget.begins();
                    }
                    if probe {
                        let endpoint = slot.endpoint.id.clone();
                        self.tell(HealthChange::Probing { endpoint });
                    }
                    let delivered = async move { (id, deliverer.deliver(id.source, pending, message, probe).await) };
                    self.in_delivery.push(delivered.boxed());
                }
            },
        }
        self.ask(id).await;
    }

    pub(super) async fn ended(&mut self, id: PullId, result: DeliveryResult) {
        if result.retry_kept {
            self.open_retries(id.slot);
        }
        // Closed meanwhile.
        let Some(slot) = self.table.get(id.slot) else { return };
        if let Some(budget) = slot.budget(id.source) {
            budget.ends();
        }
        let now = Instant::now();
        let turn = slot.breaker.hears(&result.verdict, result.probe, now);
        if let Some(limit) = slot.limit.as_mut().filter(|_| result.verdict == EndpointVerdict::Untried) {
            limit.refund();
        }
        self.make_known(id.slot, turn, result.verdict);
        self.ask(id).await;
    }

    pub(super) fn make_known(&mut self, slot: SlotId, turn: Option<CircuitChange>, verdict: EndpointVerdict) {
        let Some(slot) = self.table.get(slot) else { return };
        let (endpoint, pause) = (slot.endpoint.id.clone(), slot.breaker.pause());
        let Some(news) = news_of(&endpoint, turn, verdict, pause, &self.failing) else { return };
        let is_gone = matches!(news, HealthChange::Gone { .. });
        // Not one more request, whatever the bucket says by now; one whose word found no room is asked once more.
        if self.tell(news) && is_gone {
            self.close(&endpoint, "its receiver is gone for good");
        }
    }

    /// News that find no room are made up for by the next of their kind. Whether there was room.
    pub(super) fn tell(&self, news: HealthChange) -> bool {
        self.news.try_send(news).is_ok()
    }
}

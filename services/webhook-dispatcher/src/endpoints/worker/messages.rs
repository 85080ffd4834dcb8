//! What becomes of a message: taken, delivered or given back; what its end says about its endpoint.

use crate::{
    delivery::result::{DeliveryResult, EndpointVerdict},
    endpoints::{
        circuit_breaker::CircuitChange,
        health_change::{HealthChange, health_change_after},
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
    pub(super) async fn take_message(&mut self, mut message: Message) {
        // Whatever is no message of a consumer has nothing to settle.
        let consumer = message.reply.as_ref().and_then(|reply| AckSubject::parse(reply)).map(|handed| handed.consumer);
        let id = consumer.and_then(|consumer| self.table.find_by_consumer(consumer));
        let Some((id, slot)) = id.and_then(|id| Some((id, self.table.get(id.slot)?))) else {
            // Of an endpoint that was closed meanwhile: whoever has it open gets it.
            drop(PendingMessage::take_from(&mut message, &self.tracker, 0, Duration::ZERO));
            return;
        };
        let deliverer = Arc::clone(&slot.deliverer);
        if id.source == PullSource::Events && slot.endpoint.ordering == EventOrdering::Chat {
            // Asked for before the endpoint kept its chats in order.
            drop(PendingMessage::take_from(&mut message, &self.tracker, 0, Duration::ZERO));
            return;
        }
        let Some(budget) = slot.budget(id.source) else { return };
        budget.record_message(Instant::now());
        let ack_wait = slot.endpoint.ack_wait;
        let Some(pending) = PendingMessage::take_from(&mut message, &self.tracker, id.slot, ack_wait) else { return };
        match pending.claim() {
            Claim::AcknowledgeAgain => pending.acknowledge().await,
            Claim::Ignore => pending.drop_copy(),
            // Asked for when the endpoint took more, or before it was disabled: it comes again when there is a slot.
            Claim::Deliver if slot.budget(id.source).is_none_or(|budget| !budget.has_room()) => drop(pending),
            Claim::Deliver => match slot.breaker.try_send(Instant::now()) {
                // Asked for before the circuit opened: it is given back untouched.
                None => drop(pending),
                Some(probe) => {
                    if let Some(limit) = &mut slot.limit {
                        limit.spend();
                    }
                    if let Some(budget) = slot.budget(id.source) {
                        budget.begin_delivery();
                    }
                    if probe {
                        let endpoint = slot.endpoint.id.clone();
                        self.send_health_change(HealthChange::Probing { endpoint });
                    }
                    let delivered = async move { (id, deliverer.deliver(id.source, pending, message, probe).await) };
                    self.in_delivery.push(delivered.boxed());
                }
            },
        }
        self.request_messages(id).await;
    }

    pub(super) async fn finish_delivery(&mut self, id: PullId, result: DeliveryResult) {
        if result.retry_kept {
            self.open_retries(id.slot);
        }
        // Closed meanwhile.
        let Some(slot) = self.table.get(id.slot) else { return };
        if let Some(budget) = slot.budget(id.source) {
            budget.end_delivery();
        }
        let now = Instant::now();
        let turn = slot.breaker.record(&result.verdict, result.probe, now);
        if let Some(limit) = slot.limit.as_mut().filter(|_| result.verdict == EndpointVerdict::Untried) {
            limit.refund();
        }
        self.report_verdict(id.slot, turn, result.verdict);
        self.request_messages(id).await;
    }

    pub(super) fn report_verdict(&mut self, slot: SlotId, turn: Option<CircuitChange>, verdict: EndpointVerdict) {
        let Some(slot) = self.table.get(slot) else { return };
        let (endpoint, pause) = (slot.endpoint.id.clone(), slot.breaker.pause());
        let Some(change) = health_change_after(&endpoint, turn, verdict, pause, &self.failing) else { return };
        let is_gone = matches!(change, HealthChange::Gone { .. });
        // Not one more request, whatever the bucket says by now; one whose word found no room is asked once more.
        if self.send_health_change(change) && is_gone {
            self.close_endpoint(&endpoint, "its receiver is gone for good");
        }
    }

    /// News that find no room are made up for by the next of their kind. Whether there was room.
    pub(super) fn send_health_change(&self, change: HealthChange) -> bool {
        self.health_changes.try_send(change).is_ok()
    }
}

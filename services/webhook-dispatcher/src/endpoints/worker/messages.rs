//! Takes messages, starts their deliveries or gives them back, and reports what a delivery says about its endpoint.

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
        // Anything that is no message of a consumer needs no settling.
        let consumer =
            message.reply.as_ref().and_then(|reply| AckSubject::parse(reply)).map(|subject| subject.consumer);
        let id = consumer.and_then(|consumer| self.table.find_by_consumer(consumer));
        let Some((id, slot)) = id.and_then(|id| Some((id, self.table.get(id.slot)?))) else {
            // The endpoint was closed meanwhile: a dispatcher that has it open receives the message.
            drop(PendingMessage::take_from(&mut message, &self.tracker, 0, Duration::ZERO));
            return;
        };
        let deliverer = Arc::clone(&slot.deliverer);
        if id.source == PullSource::Events && slot.endpoint.ordering == EventOrdering::Chat {
            // Requested before the endpoint kept its chats in order.
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
            // Requested when the endpoint took more, or before it was disabled: it comes again when there is room.
            Claim::Deliver if slot.budget(id.source).is_none_or(|budget| !budget.has_room()) => drop(pending),
            Claim::Deliver => match slot.breaker.try_send(Instant::now()) {
                // Requested before the circuit opened. It is given back untouched.
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
        if result.retry_stored {
            self.open_retries(id.slot);
        }
        // None if it was closed meanwhile.
        let Some(slot) = self.table.get(id.slot) else { return };
        if let Some(budget) = slot.budget(id.source) {
            budget.end_delivery();
        }
        let now = Instant::now();
        let circuit_change = slot.breaker.record(&result.verdict, result.probe, now);
        if let Some(limit) = slot.limit.as_mut().filter(|_| result.verdict == EndpointVerdict::Untried) {
            limit.refund();
        }
        self.report_verdict(id.slot, circuit_change, result.verdict);
        self.request_messages(id).await;
    }

    pub(super) fn report_verdict(
        &mut self,
        slot: SlotId,
        circuit_change: Option<CircuitChange>,
        verdict: EndpointVerdict,
    ) {
        let Some(slot) = self.table.get(slot) else { return };
        let (endpoint, pause) = (slot.endpoint.id.clone(), slot.breaker.pause());
        let Some(change) = health_change_after(&endpoint, circuit_change, verdict, pause, &self.failing) else {
            return;
        };
        let is_gone = matches!(change, HealthChange::Gone { .. });
        // No further request is made, whatever the bucket says by now. If the change found no room, the receiver is
        // asked once more.
        if self.send_health_change(change) && is_gone {
            self.close_endpoint(&endpoint, "its receiver is gone for good");
        }
    }

    /// Hands a change to the reporter. If there is no room, the next change of this kind makes up for it. Whether there
    /// was room.
    pub(super) fn send_health_change(&self, change: HealthChange) -> bool {
        self.health_changes.try_send(change).is_ok()
    }
}

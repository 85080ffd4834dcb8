//! Takes messages, starts their deliveries or gives them back, and reports what a delivery says about its endpoint.

use crate::{
    delivery::result::{DeliveryResult, EndpointVerdict},
    endpoints::{
        circuit_breaker::CircuitChange,
        health_change::{HealthChange, VerdictEffect, health_change_after},
        rate_limit::RateLimit,
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

/// A message that comes before its turn is held for this long at most. Otherwise NATS has it again for that time.
const MAX_TURN_WAIT: Duration = Duration::from_secs(2);
/// Nothing is requested for an endpoint with a limit before the dispatchers are counted. For what comes nevertheless, as
/// many are assumed as there may be.
const UNCOUNTED_SHARERS: usize = 12;

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
            // Requested before the receiver asked for a pause.
            Claim::Deliver if slot.pace.is_paused(Instant::now()) => drop(pending),
            Claim::Deliver => self.start_delivery(id, pending, message).await,
        }
        self.request_messages(id).await;
    }

    /// Starts a delivery, unless the circuit or a limit does not allow it now.
    async fn start_delivery(&mut self, id: PullId, pending: PendingMessage, message: Message) {
        let (now, sharers) = (Instant::now(), self.peers.count());
        let Some(slot) = self.table.get(id.slot) else { return };
        // Requested before the circuit opened. It is given back untouched.
        let Some(probe) = slot.breaker.try_send(now) else { return };
        let of_limit = slot.limit.as_mut().map(|limit| limit.reserve(sharers.unwrap_or(UNCOUNTED_SHARERS), now));
        let wait = slot.pace.reserve(now).max(of_limit.unwrap_or_default());
        if wait > MAX_TURN_WAIT {
            slot.limit.iter_mut().for_each(RateLimit::refund);
            slot.pace.refund();
            slot.breaker.cancel_probe(probe, now);
            return pending.postpone(wait).await;
        }
        if let Some(budget) = slot.budget(id.source) {
            budget.begin_delivery();
        }
        let (deliverer, endpoint) = (Arc::clone(&slot.deliverer), slot.endpoint.id.clone());
        if probe {
            self.send_health_change(HealthChange::Probing { endpoint });
        }
        let delivered = async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            (id, deliverer.deliver(id.source, pending, message, probe).await)
        };
        self.in_delivery.push(delivered.boxed());
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
        let pause = slot.pace.record(&result.verdict, now);
        if result.verdict == EndpointVerdict::Untried {
            slot.limit.iter_mut().for_each(RateLimit::refund);
            slot.pace.refund();
        }
        slot.concurrency.record(&result, slot.endpoint.timeout, now);
        slot.apply_concurrency();
        if matches!(circuit_change, Some(CircuitChange::Closed | CircuitChange::Reachable)) {
            slot.restart_slowly(now);
        }
        self.report_verdict(id.slot, VerdictEffect { circuit_change, pause }, result.verdict);
        self.request_messages(id).await;
    }

    fn report_verdict(&mut self, slot: SlotId, effect: VerdictEffect, verdict: EndpointVerdict) {
        let Some(slot) = self.table.get(slot) else { return };
        let (endpoint, probe_pause) = (slot.endpoint.id.clone(), slot.breaker.pause());
        let Some(change) = health_change_after(&endpoint, effect, verdict, probe_pause, &self.failing) else {
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

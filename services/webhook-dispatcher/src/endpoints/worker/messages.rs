//! What becomes of a message: taken, delivered or given back; what its end says about its endpoint.

use super::DeliveryWorker;
use crate::{
    delivery::{DeliveryResult, EndpointVerdict, PendingMessage},
    endpoints::{
        breaker::CircuitChange,
        consumer::PullSource,
        news::{HealthChange, news_of},
        roster::{PullId, SlotId},
        settled::{AckSubject, Claim},
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
        let id = consumer.and_then(|consumer| self.roster.of_consumer(consumer));
        let Some((id, station)) = id.and_then(|id| Some((id, self.roster.get(id.station)?))) else {
            // Of an endpoint that was closed meanwhile: whoever has it open gets it.
            drop(PendingMessage::of(&mut message, &self.desk, 0, Duration::ZERO));
            return;
        };
        let deliverer = Arc::clone(&station.deliverer);
        if id.source == PullSource::Events && station.endpoint.ordering == EventOrdering::Chat {
            // Asked for before the endpoint kept its chats in order.
            drop(PendingMessage::of(&mut message, &self.desk, 0, Duration::ZERO));
            return;
        }
        let Some(line) = station.line(id.source) else { return };
        line.arrived(Instant::now());
        let ack_wait = station.endpoint.ack_wait;
        let Some(pending) = PendingMessage::of(&mut message, &self.desk, id.station, ack_wait) else { return };
        match pending.begin() {
            Claim::AcknowledgeAgain => pending.acknowledge().await,
            Claim::Ignore => pending.ignore(),
            // Asked for when the endpoint took more, or before it was disabled: it comes again when there is a slot.
            Claim::Deliver if station.line(id.source).is_none_or(|line| !line.has_room()) => drop(pending),
            Claim::Deliver => match station.breaker.sends(Instant::now()) {
                // Asked for before the circuit opened: it is given back untouched.
                None => drop(pending),
                Some(probe) => {
                    if let Some(limit) = &mut station.limit {
                        limit.spend();
                    }
                    if let Some(line) = station.line(id.source) {
                        line.begins();
                    }
                    if probe {
                        let endpoint = station.endpoint.id.clone();
                        self.tell(HealthChange::Probing { endpoint });
                    }
                    let delivered = async move { (id, deliverer.deliver(id.source, pending, message, probe).await) };
                    self.in_delivery.push(delivered.boxed());
                }
            },
        }
        self.ask(id).await;
    }

    pub(super) async fn ended(&mut self, id: PullId, told: DeliveryResult) {
        if told.retry_kept {
            self.open_retries(id.station);
        }
        // Closed meanwhile.
        let Some(station) = self.roster.get(id.station) else { return };
        if let Some(line) = station.line(id.source) {
            line.ends();
        }
        let now = Instant::now();
        let turn = station.breaker.hears(&told.verdict, told.probe, now);
        if let Some(limit) = station.limit.as_mut().filter(|_| told.verdict == EndpointVerdict::Untried) {
            limit.refund();
        }
        self.make_known(id.station, turn, told.verdict);
        self.ask(id).await;
    }

    pub(super) fn make_known(&mut self, station: SlotId, turn: Option<CircuitChange>, verdict: EndpointVerdict) {
        let Some(station) = self.roster.get(station) else { return };
        let (endpoint, pause) = (station.endpoint.id.clone(), station.breaker.pause());
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

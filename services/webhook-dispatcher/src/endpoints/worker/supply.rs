//! What the broker gives: consumers that are made, requests that are asked, lost and mended.

use super::{DeliveryWorker, JobResult, LOOK_FOR_RETRIES, connects};
use crate::endpoints::{
    consumer::{self, PullSource},
    inbox::{PullRequest, PullStatus},
    roster::PullId,
};
use futures::FutureExt as _;
use kurir_contract::endpoint::EventOrdering;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl DeliveryWorker {
    /// Makes sure that a line's consumer is there and is as it should be.
    pub(super) fn make(&mut self, line: PullId, pause: Duration) {
        let Some(station) = self.roster.get(line.station) else { return };
        let (broker, endpoint) = (self.broker.clone(), Arc::clone(&station.endpoint));
        let making = Arc::clone(&self.making);
        if self.begun.is_some() {
            self.untried.insert(line);
        }
        let made = async move {
            tokio::time::sleep(pause).await;
            // Closed by nobody.
            let _permit = making.acquire().await;
            JobResult::Made(line, consumer::make(&broker, line.source, &endpoint).await)
        };
        self.jobs.push(made.boxed());
    }

    pub(super) async fn done(&mut self, done: JobResult) {
        match done {
            JobResult::Made(line, made) => {
                self.untried.remove(&line);
                self.made(line, made).await;
                self.say_if_begun();
            }
            JobResult::Retries(endpoints) => {
                for endpoint in endpoints {
                    if let Some(station) = self.roster.of_endpoint(&endpoint) {
                        self.open_retries(station);
                    }
                }
            }
            JobResult::Parked(endpoints) => self.found_parked(endpoints),
            JobResult::Released(endpoint, released) => self.released(&endpoint, released),
        }
    }

    pub(super) async fn made(&mut self, id: PullId, made: anyhow::Result<()>) {
        let Some(station) = self.roster.get(id.station) else { return };
        let endpoint = Arc::clone(&station.endpoint);
        let Some(line) = station.line(id.source) else { return };
        match made {
            Ok(()) if id.source == PullSource::Events && endpoint.ordering == EventOrdering::Chat => {
                self.begin_shift(id.station)
            }
            Ok(()) => {
                line.open = true;
                self.ask(id).await;
            }
            Err(error) => {
                let pause = line.breaks(Instant::now());
                let endpoint = &endpoint.id;
                tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} waits for its consumer: {error:#}");
                self.make(id, pause);
            }
        }
    }

    pub(super) async fn heard(&mut self, id: PullId, generation: u64, said: PullStatus) {
        let Some(line) = self.roster.get(id.station).and_then(|station| station.line(id.source)) else { return };
        if line.generation != generation {
            return;
        }
        match said {
            PullStatus::Heartbeat => line.heartbeat(Instant::now()),
            PullStatus::Expired { unserved } => {
                line.expired(unserved, Instant::now());
                self.ask(id).await;
            }
            PullStatus::Trouble(what) => self.mend(id, &what),
        }
    }

    /// The line's requests are lost: it asks again when its consumer was seen.
    pub(super) fn mend(&mut self, id: PullId, what: &str) {
        let Some(station) = self.roster.get(id.station) else { return };
        let endpoint = station.endpoint.id.clone();
        let Some(line) = station.line(id.source).filter(|line| line.open) else { return };
        tracing::info!(endpoint.id = %endpoint, "taking up the work of webhook endpoint {endpoint} anew: {what}");
        let pause = line.breaks(Instant::now());
        self.make(id, pause);
    }

    pub(super) async fn ask(&mut self, id: PullId) {
        let (now, pace, sharers) = (Instant::now(), self.roster.pace(), self.colleagues.count());
        let Some(station) = self.roster.get(id.station) else { return };
        let batch = station.wanted(id.source, sharers, now);
        let Some(line) = station.line(id.source).filter(|_| batch > 0) else { return };
        line.asked(batch, pace, now);
        let request = PullRequest {
            line: id,
            generation: line.generation,
            consumer: &line.consumer,
            batch,
            expires: pace.expires,
            heartbeat: pace.heartbeat,
        };
        self.inbox.ask(&request).await;
    }

    pub(super) async fn look_around(&mut self) {
        let now = Instant::now();
        let is_new = connects(&self.broker) != self.connects;
        self.connects = connects(&self.broker);
        let (mut asking, mut silent, mut shifts) = (Vec::new(), Vec::new(), Vec::new());
        for (id, station) in self.roster.stations() {
            if station.endpoint.ordering == EventOrdering::Chat && !self.shifts.has(&station.endpoint.id) {
                shifts.push(id);
            }
            if station.endpoint.ordering == EventOrdering::None {
                station.deliverer.metrics().circuit(station.breaker.circuit());
            }
            for line in station.lines() {
                let line_id = PullId { station: id, source: line.source };
                if is_new {
                    line.lost(now);
                }
                if line.is_silent(now) {
                    silent.push(line_id);
                } else if line.wanted(1) > 0 {
                    asking.push(line_id);
                }
            }
        }
        if is_new {
            tracing::debug!("the connection to NATS was made anew: all webhook work is asked for again");
        }
        for station in shifts {
            self.begin_shift(station);
        }
        for line in silent {
            self.mend(line, "NATS was silent");
        }
        for line in asking {
            self.ask(line).await;
        }
        if now >= self.looks_for_retries {
            self.look_for_retries();
        }
    }

    pub(super) fn look_for_retries(&mut self) {
        self.looks_for_retries = Instant::now() + LOOK_FOR_RETRIES;
        let broker = self.broker.clone();
        // An error is a broker that is away: the next look tells.
        let found = async move {
            JobResult::Retries(consumer::endpoints(&broker, PullSource::Retries).await.unwrap_or_default())
        };
        self.jobs.push(found.boxed());
    }
}

//! Where an endpoint's events are, to the last one: matched = delivered + waiting + dead + filtered.
//!
//! `span` finds the events that are asked for; `look` reads the broker's figures and the record of attempts, `sum` adds
//! them up as sets of sequences (`sequences`). Nothing is counted along the way and kept: what was settled is in the
//! record before it is acknowledged, so the broker alone knows it all.

mod collect;
mod sequence_set;
mod span;
mod sum;

use crate::{
    command_error,
    endpoints::lookup::EndpointLookup,
    ledger::{span::RequestedPeriod, sum::LedgerSum},
};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    command::CommandError,
    webhook::{LedgerReport, LedgerRequest},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Ledgers that are added up at the same time: each reads the record of attempts as fast as NATS gives it.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(15);
/// What moved between two looks can leave a gap that is none: it is looked at again.
const LOOKS: u32 = 4;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub struct LedgerService {
    broker: Broker,
    directory: EndpointLookup,
    turns: Arc<Semaphore>,
}

impl LedgerService {
    #[must_use]
    pub fn new(broker: Broker, directory: EndpointLookup) -> Self {
        Self { broker, directory, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// # Errors
    /// If there is no such endpoint or no record of such a time, or the broker is away.
    pub async fn ledger(&self, request: LedgerRequest) -> Result<LedgerReport, CommandError> {
        let asked = RequestedPeriod::read(&request)?;
        let endpoint = self.directory.must_exist(&request.endpoint).await?;
        // Closed by nobody; so it is the time that ends the wait.
        let Ok(_turn) = timeout(TURN_WITHIN, self.turns.acquire()).await else {
            return Err(command_error::timed_out("other ledgers are being added up; try again".to_owned()));
        };
        let span = asked.find(&self.broker, &endpoint).await?;
        let mut looks = LOOKS;
        loop {
            let looked = collect::collect(&self.broker, &endpoint, &span).await.map_err(command_error::of_broker)?;
            let (places, position, matched) = looked;
            let LedgerSum { delivered, waiting, dead, filtered, missing } = LedgerSum::of(&places, position, matched);
            looks -= 1;
            if missing == 0 || looks == 0 {
                let (endpoint, from, to, matched) = (endpoint.id, span.from, span.to, matched.all);
                return Ok(LedgerReport { endpoint, from, to, matched, delivered, waiting, dead, filtered, missing });
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }
}

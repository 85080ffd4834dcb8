//! Reports where each of an endpoint's events is: matched = delivered + waiting + dead + filtered.
//!
//! `span` finds the requested events, `collect` reads NATS' counts and the record of attempts, `sum` adds them up as
//! sets of sequences (`sequence_set`). Kurir keeps no counters for this: an attempt is recorded before its event is
//! acknowledged, so NATS alone knows everything.

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

/// Ledgers that are added up at the same time. Each reads the record of attempts as fast as NATS sends it.
const MAX_CONCURRENT: usize = 2;
/// How long a ledger waits for its turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(15);
/// An event that moves during a try can leave a gap that is none. Then the places are read again.
const TRIES: u32 = 4;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub struct LedgerService {
    broker: Broker,
    endpoints: EndpointLookup,
    turns: Arc<Semaphore>,
}

impl LedgerService {
    #[must_use]
    pub fn new(broker: Broker, endpoints: EndpointLookup) -> Self {
        Self { broker, endpoints, turns: Arc::new(Semaphore::new(MAX_CONCURRENT)) }
    }

    /// Adds up a ledger.
    ///
    /// # Errors
    /// If there is no such endpoint or no record of such a time, or if NATS is away.
    pub async fn ledger(&self, request: LedgerRequest) -> Result<LedgerReport, CommandError> {
        let period = RequestedPeriod::parse(&request)?;
        let endpoint = self.endpoints.require(&request.endpoint).await?;
        // The semaphore is never closed, so only the time can end this wait.
        let Ok(_turn) = timeout(QUEUE_TIMEOUT, self.turns.acquire()).await else {
            return Err(command_error::timed_out("other ledgers are being added up; try again".to_owned()));
        };
        let span = period.find_span(&self.broker, &endpoint).await?;
        let mut tries = TRIES;
        loop {
            let collected =
                collect::collect(&self.broker, &endpoint, &span).await.map_err(command_error::from_broker)?;
            let (places, position, matched) = collected;
            let LedgerSum { delivered, waiting, dead, filtered, missing } =
                LedgerSum::from_places(&places, position, matched);
            tries -= 1;
            if missing == 0 || tries == 0 {
                let (endpoint, from, to, matched) = (endpoint.id, span.from, span.to, matched.all);
                return Ok(LedgerReport { endpoint, from, to, matched, delivered, waiting, dead, filtered, missing });
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }
}

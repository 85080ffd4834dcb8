//! Which events a ledger is about: from a time to a time, or as far back as there is a record.

use crate::{command_error, endpoint::Endpoint, jetstream::stream_counts};
use anyhow::Context as _;
use async_nats::jetstream::{consumer::DeliverPolicy, stream::Info};
use kurir_chassis::broker::Broker;
use kurir_contract::{clock, command::CommandError, stream, subject, webhook::LedgerRequest};
use std::ops::RangeInclusive;
use time::OffsetDateTime;

/// Five sets of so many bits are 63 MB; a year of an event each second would be a third of it.
const LONGEST: u64 = 100_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSpan {
    /// Sequences in EVENTS.
    pub events: RangeInclusive<u64>,
    /// What was stored elsewhere before it is about none of them.
    pub since: OffsetDateTime,
    pub from: Option<String>,
    pub to: String,
}

/// The times that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedPeriod {
    from: Option<OffsetDateTime>,
    to: Option<OffsetDateTime>,
}

impl RequestedPeriod {
    /// # Errors
    /// If they are no times, or the wrong way round.
    pub fn read(request: &LedgerRequest) -> Result<Self, CommandError> {
        let read =
            |field, text: &Option<String>| text.as_ref().map(|text| command_error::moment(field, text)).transpose();
        let asked = Self { from: read("from", &request.from)?, to: read("to", &request.to)? };
        match (asked.from, asked.to) {
            (Some(from), Some(to)) if from >= to => {
                Err(command_error::invalid("to must be later than from".to_owned()))
            }
            _ => Ok(asked),
        }
    }

    /// # Errors
    /// If there is no record of that time any more, it is too long, or the broker is away.
    pub async fn find(self, broker: &Broker, endpoint: &Endpoint) -> Result<LedgerSpan, CommandError> {
        let events = info(broker, stream::EVENTS).await.map_err(command_error::of_broker)?;
        let deliveries = info(broker, stream::DELIVERIES).await.map_err(command_error::of_broker)?;
        let now = OffsetDateTime::now_utc();
        let recorded = record_begins(&deliveries, &events, now);
        if let (Some(from), Some(recorded)) = (self.from, recorded)
            && from < recorded
        {
            let recorded = clock::iso(recorded);
            return Err(command_error::invalid(format!(
                "the record of attempts goes back to {recorded} only: ask for a span that begins then or later"
            )));
        }
        // Without a time it goes as far back as there is a record.
        let from = self.from.or(recorded);
        let first = match from {
            Some(from) => at(broker, from).await.map_err(command_error::of_broker)?,
            None => events.state.first_sequence,
        };
        let last = match self.to {
            Some(to) => at(broker, to).await.map_err(command_error::of_broker)?.saturating_sub(1),
            None => events.state.last_sequence,
        };
        let first = first.max(endpoint.start_sequence).max(events.state.first_sequence).max(1);
        let last = last.min(events.state.last_sequence);
        if last.saturating_sub(first) >= LONGEST {
            return Err(command_error::invalid(format!(
                "the span holds more than {LONGEST} events of all endpoints: ask for a shorter one"
            )));
        }
        Ok(LedgerSpan {
            events: first..=last,
            // EVENTS may have been made again; what was recorded before is about other events of the same sequences.
            since: from.map_or(events.created, |from| from.max(events.created)),
            from: from.map(clock::iso),
            to: clock::iso(self.to.unwrap_or(now)),
        })
    }
}

/// Attempts before it may be missing; none: all are there that ever were.
fn record_begins(deliveries: &Info, events: &Info, now: OffsetDateTime) -> Option<OffsetDateTime> {
    // Made after there were events: those of before may have had a record that was deleted.
    let made_late =
        (events.state.messages > 0 && events.state.first_timestamp < deliveries.created).then_some(deliveries.created);
    made_late.max(removed_up_to(deliveries, now))
}

fn removed_up_to(deliveries: &Info, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let (config, state) = (&deliveries.config, &deliveries.state);
    if state.first_sequence <= 1 {
        return None;
    }
    let has_size_limit = config.max_messages > 0 || config.max_bytes > 0 || config.max_messages_per_subject > 0;
    Some(match (has_size_limit, config.max_age.is_zero()) {
        (false, false) => now - config.max_age,
        (true, _) | (false, true) if state.messages > 0 => state.first_timestamp,
        (true, _) | (false, true) => now,
    })
}

/// The sequence of the first event that was stored at this time or later.
async fn at(broker: &Broker, time: OffsetDateTime) -> anyhow::Result<u64> {
    let all = [subject::ALL_EVENTS.to_owned()];
    let start = DeliverPolicy::ByStartTime { start_time: time };
    Ok(stream_counts::held(broker, stream::EVENTS, &all, start).await?.from)
}

async fn info(broker: &Broker, name: &str) -> anyhow::Result<Info> {
    let stream = broker.jetstream.get_stream(name).await.with_context(|| format!("failed to look at {name}"))?;
    Ok(stream.cached_info().clone())
}

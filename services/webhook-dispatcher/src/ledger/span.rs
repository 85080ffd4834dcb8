//! The events that a ledger is about: from one time to another, or as far back as there is a record.

use crate::{command_error, endpoint::Endpoint, jetstream::stream_counts};
use anyhow::Context as _;
use async_nats::jetstream::{consumer::DeliverPolicy, stream::Info};
use kurir_chassis::broker::Broker;
use kurir_contract::{clock, command::CommandError, stream, subject, webhook::LedgerRequest};
use std::ops::RangeInclusive;
use time::OffsetDateTime;

/// Five sets of this many bits take 63 MB. A year with one event each second is a third of it.
const MAX_SPAN: u64 = 100_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSpan {
    /// Sequences in EVENTS.
    pub events: RangeInclusive<u64>,
    /// Whatever was stored in other streams before this time is about none of these events.
    pub since: OffsetDateTime,
    pub from: Option<String>,
    pub to: String,
}

/// The times in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedPeriod {
    from: Option<OffsetDateTime>,
    to: Option<OffsetDateTime>,
}

impl RequestedPeriod {
    /// Parses the times.
    ///
    /// # Errors
    /// If they are no times, or in the wrong order.
    pub fn parse(request: &LedgerRequest) -> Result<Self, CommandError> {
        let read =
            |field, text: &Option<String>| text.as_ref().map(|text| command_error::parse_time(field, text)).transpose();
        let period = Self { from: read("from", &request.from)?, to: read("to", &request.to)? };
        match (period.from, period.to) {
            (Some(from), Some(to)) if from >= to => {
                Err(command_error::invalid("to must be later than from".to_owned()))
            }
            _ => Ok(period),
        }
    }

    /// Finds the events between the times.
    ///
    /// # Errors
    /// If the record does not go back that far, if the span is too long, or if NATS is away.
    pub async fn find_span(self, broker: &Broker, endpoint: &Endpoint) -> Result<LedgerSpan, CommandError> {
        let events = stream_info(broker, stream::EVENTS).await.map_err(command_error::from_broker)?;
        let deliveries = stream_info(broker, stream::DELIVERIES).await.map_err(command_error::from_broker)?;
        let now = clock::now();
        let recorded = record_begins(&deliveries, &events, now);
        if let (Some(from), Some(recorded)) = (self.from, recorded)
            && from < recorded
        {
            let recorded = clock::iso(recorded);
            return Err(command_error::invalid(format!(
                "the record of attempts goes back to {recorded} only: ask for a span that begins then or later"
            )));
        }
        // Without a time the ledger goes as far back as the record does.
        let from = self.from.or(recorded);
        let first = match from {
            Some(from) => first_sequence_at(broker, from).await.map_err(command_error::from_broker)?,
            None => events.state.first_sequence,
        };
        let last = match self.to {
            Some(to) => first_sequence_at(broker, to).await.map_err(command_error::from_broker)?.saturating_sub(1),
            None => events.state.last_sequence,
        };
        let first = first.max(endpoint.start_sequence).max(events.state.first_sequence).max(1);
        let last = last.min(events.state.last_sequence);
        if last.saturating_sub(first) >= MAX_SPAN {
            return Err(command_error::invalid(format!(
                "the span holds more than {MAX_SPAN} events of all endpoints: ask for a shorter one"
            )));
        }
        Ok(LedgerSpan {
            events: first..=last,
            // EVENTS may have been made again. Earlier records are about other events with the same sequences.
            since: from.map_or(events.created, |from| from.max(events.created)),
            from: from.map(clock::iso),
            to: clock::iso(self.to.unwrap_or(now)),
        })
    }
}

/// Attempts before this time may be missing from the record; none: no attempt is missing.
fn record_begins(deliveries: &Info, events: &Info, now: OffsetDateTime) -> Option<OffsetDateTime> {
    // If the record was made after the first event, an earlier record may have been deleted.
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
async fn first_sequence_at(broker: &Broker, time: OffsetDateTime) -> anyhow::Result<u64> {
    let all = [subject::ALL_EVENTS.to_owned()];
    let start = DeliverPolicy::ByStartTime { start_time: time };
    Ok(stream_counts::count_from(broker, stream::EVENTS, &all, start).await?.from)
}

async fn stream_info(broker: &Broker, name: &str) -> anyhow::Result<Info> {
    let stream =
        broker.jetstream.get_stream(name).await.with_context(|| format!("failed to read the state of {name}"))?;
    Ok(stream.cached_info().clone())
}

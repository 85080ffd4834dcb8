//! Reads every place where an endpoint's events can be, its consumer first.
//!
//! The order makes the sum right: an event goes from its consumer to RETRIES, to the dead letters or into the record,
//! and leaves no place before it is in the next one. Read in this order, no event is missed; an event in two places is
//! counted once.

use crate::{
    endpoint::{
        Endpoint,
        retry_policy::{RetryDecision, RetryPolicy},
    },
    jetstream::stream_counts,
    ledger::{
        sequence_set::SequenceSet,
        span::LedgerSpan,
        sum::{ConsumerPosition, EventPlaces, MatchedCounts},
    },
};
use anyhow::Context as _;
use async_nats::jetstream::{consumer::DeliverPolicy, context::ConsumerInfoErrorKind};
use kurir_chassis::broker::Broker;
use kurir_contract::{stream, subject};
use serde::Deserialize;
use std::{borrow::Cow, ops::ControlFlow};

/// Reads everything that a sum is made of.
pub async fn collect(
    broker: &Broker,
    endpoint: &Endpoint,
    span: &LedgerSpan,
) -> anyhow::Result<(EventPlaces, ConsumerPosition, MatchedCounts)> {
    let position = read_position(broker, endpoint).await?;
    let matched = count_matched(broker, endpoint, span, position).await?;
    let empty = || SequenceSet::for_range(&span.events);
    let mut places = EventPlaces {
        retried: find_retried(broker, endpoint, span).await?,
        dead: empty(),
        delivered: empty(),
        filtered: empty(),
        given_up: empty(),
    };
    let filter = subject::dead_letters(&endpoint.id);
    read_messages(broker, stream::DEAD_LETTERS, filter, span, |letter| {
        let LetterSequence { sequence } = serde_json::from_slice(letter)?;
        places.dead.insert(sequence);
        Ok(())
    })
    .await?;
    let policy = &endpoint.retry_policy;
    read_messages(broker, stream::DELIVERIES, subject::deliveries(&endpoint.id), span, |batch| {
        for attempt in serde_json::from_slice::<Vec<RecordedAttempt<'_>>>(batch)? {
            attempt.add_to(&mut places, policy);
        }
        Ok(())
    })
    .await?;
    Ok((places, position, matched))
}

/// The sequence in a dead letter.
#[derive(Deserialize)]
struct LetterSequence {
    sequence: u64,
}

/// The fields of an [`AttemptRecord`](kurir_contract::delivery::AttemptRecord) that a ledger needs: there may be
/// millions.
#[derive(Deserialize)]
struct RecordedAttempt<'a> {
    sequence: u64,
    attempt: u32,
    #[serde(borrow)]
    result: RecordedResult<'a>,
}

#[derive(Deserialize)]
struct RecordedResult<'a> {
    #[serde(borrow)]
    result: Cow<'a, str>,
    #[serde(default)]
    status: Option<u16>,
}

impl RecordedAttempt<'_> {
    fn add_to(&self, places: &mut EventPlaces, policy: &RetryPolicy) {
        let Self { sequence, attempt, result: RecordedResult { result, status } } = self;
        match &**result {
            "delivered" => places.delivered.insert(*sequence),
            "filtered" => places.filtered.insert(*sequence),
            // The dead letter was stored before this record. If it is gone, its user has deleted it.
            "refused" | "failed" if policy.decide(*attempt, *status, 0.0) == RetryDecision::GiveUp => {
                places.given_up.insert(*sequence);
            }
            // The event was tried again, which is in another record or in RETRIES.
            _ => {}
        }
    }
}

async fn read_position(broker: &Broker, endpoint: &Endpoint) -> anyhow::Result<ConsumerPosition> {
    let events = broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to open a stream")?;
    match events.consumer_info(endpoint.id.consumer_name()).await {
        Ok(info) => Ok(ConsumerPosition {
            settled_to: info.ack_floor.stream_sequence,
            taken_to: info.delivered.stream_sequence,
            in_delivery: info.num_ack_pending as u64,
        }),
        // The consumer does not exist yet, so nothing was taken.
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => Ok(ConsumerPosition::default()),
        Err(error) => Err(error).context("failed to read the consumer of an endpoint"),
    }
}

async fn count_matched(
    broker: &Broker,
    endpoint: &Endpoint,
    span: &LedgerSpan,
    position: ConsumerPosition,
) -> anyhow::Result<MatchedCounts> {
    let (first, last) = (*span.events.start(), *span.events.end());
    let to = async |sequence: u64| {
        if sequence < first {
            return Ok(0);
        }
        let start = DeliverPolicy::ByStartSequence { start_sequence: first };
        stream_counts::count_between(broker, stream::EVENTS, &endpoint.subjects, start, sequence).await
    };
    let all = to(last).await?;
    let up_to = async |sequence: u64| if sequence >= last { Ok(all) } else { to(sequence).await };
    Ok(MatchedCounts { all, settled: up_to(position.settled_to).await?, taken: up_to(position.taken_to).await? })
}

async fn find_retried(broker: &Broker, endpoint: &Endpoint, span: &LedgerSpan) -> anyhow::Result<SequenceSet> {
    let mut retried = SequenceSet::for_range(&span.events);
    let subjects = stream_counts::list_subjects(broker, stream::RETRIES, &subject::retries_of(&endpoint.id)).await?;
    for retry in subjects.iter().filter_map(|subject| subject::parse_retry(subject)) {
        retried.insert(retry.sequence);
    }
    Ok(retried)
}

/// Reads every message of a subject that was stored since the span started and still exists.
async fn read_messages(
    broker: &Broker,
    name: &str,
    filter: String,
    span: &LedgerSpan,
    mut each: impl FnMut(&[u8]) -> serde_json::Result<()>,
) -> anyhow::Result<()> {
    let start = DeliverPolicy::ByStartTime { start_time: span.since };
    stream_counts::read_stored(broker, name, filter, start, |message| {
        if let Err(error) = each(&message.payload) {
            tracing::warn!("left an unreadable message of {name} out of a ledger: {error}");
        }
        Ok(ControlFlow::Continue(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::{
        delivery::{AttemptRecord, AttemptResult},
        endpoint::EndpointId,
        event::{EventId, EventType},
    };

    #[test]
    fn an_attempt_is_entered_as_the_contract_writes_it() {
        let attempt = |sequence, number, result| AttemptRecord {
            event_id: EventId::random(),
            event: EventType::MESSAGE_RECEIVED,
            endpoint: EndpointId::default(),
            sequence,
            attempt: number,
            result,
            duration_ms: 5,
            at: "2026-11-24T13:27:25.042Z".to_owned(),
            replay: None,
        };
        let refused = || AttemptResult::Refused { status: 500, body: "\"oh\"\n".to_owned(), headers: Vec::new() };
        let failed = AttemptResult::Failed {
            class: "connect".to_owned(),
            phase: Some("connect".into()),
            message: "refused".to_owned(),
        };
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        let batch = serde_json::to_vec(&[
            attempt(1, 1, AttemptResult::Delivered { status: 204, headers }),
            attempt(2, 1, AttemptResult::Filtered { by: "content".to_owned() }),
            attempt(3, 1, refused()),
            attempt(4, 4, refused()),
            attempt(5, 4, failed),
        ])
        .unwrap();
        let empty = || SequenceSet::for_range(&(1..=9));
        let mut places =
            EventPlaces { delivered: empty(), dead: empty(), retried: empty(), filtered: empty(), given_up: empty() };
        for recorded in serde_json::from_slice::<Vec<RecordedAttempt<'_>>>(&batch).unwrap() {
            recorded.add_to(&mut places, &RetryPolicy::default());
        }
        let counts =
            [&places.delivered, &places.filtered, &places.given_up].map(|place| (place.count(), place.count_to(3)));
        assert_eq!(counts, [(1, 1), (1, 1), (2, 0)]);
    }
}

//! Looks into the places where an endpoint's events can be, and at its consumer first.
//!
//! The order is what makes the sum true: an event goes from its consumer to RETRIES, to the dead letters or into the
//! record, and leaves no place before it is in the next one. Looked at in this order, none slips through; what is in
//! two places is counted once.

use super::{
    sequences::Sequences,
    span::Span,
    sum::{Matched, Places, Position},
};
use crate::{
    delivery::{Decision, RetryPolicy},
    endpoints::Endpoint,
    figures,
};
use anyhow::Context as _;
use async_nats::jetstream::{consumer::DeliverPolicy, context::ConsumerInfoErrorKind};
use futures::StreamExt as _;
use kurir_chassis::broker::Broker;
use kurir_contract::{stream, subject};
use serde::Deserialize;
use std::borrow::Cow;

/// Messages that are on their way to us. Each holds up to 64 attempts, 20 kB as a rule and 100 kB at the most.
const BATCH: usize = 100;

/// All that a sum is made of.
pub async fn look(broker: &Broker, endpoint: &Endpoint, span: &Span) -> anyhow::Result<(Places, Position, Matched)> {
    let position = position(broker, endpoint).await?;
    let matched = matched(broker, endpoint, span, position).await?;
    let empty = || Sequences::within(&span.events);
    let mut places = Places {
        retried: retried(broker, endpoint, span).await?,
        buried: empty(),
        delivered: empty(),
        filtered: empty(),
        given_up: empty(),
    };
    let filter = subject::dead_letters(&endpoint.id);
    read(broker, stream::DEAD_LETTERS, filter, span, |letter| {
        let Letter { sequence } = serde_json::from_slice(letter)?;
        places.buried.insert(sequence);
        Ok(())
    })
    .await?;
    let policy = &endpoint.retry_policy;
    read(broker, stream::DELIVERIES, subject::deliveries(&endpoint.id), span, |batch| {
        for attempt in serde_json::from_slice::<Vec<Recorded<'_>>>(batch)? {
            attempt.enter(&mut places, policy);
        }
        Ok(())
    })
    .await?;
    Ok((places, position, matched))
}

/// Of a dead letter.
#[derive(Deserialize)]
struct Letter {
    sequence: u64,
}

/// What a ledger needs of an [`AttemptRecord`](kurir_contract::delivery::AttemptRecord): there may be millions.
#[derive(Deserialize)]
struct Recorded<'a> {
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

impl Recorded<'_> {
    fn enter(&self, places: &mut Places, policy: &RetryPolicy) {
        let Self { sequence, attempt, result: RecordedResult { result, status } } = self;
        match &**result {
            "delivered" => places.delivered.insert(*sequence),
            "filtered" => places.filtered.insert(*sequence),
            // Its letter was stored before this was recorded; if it is gone, its user deleted it.
            "refused" | "failed" if policy.after(*attempt, *status, None, 0.0) == Decision::GiveUp => {
                places.given_up.insert(*sequence);
            }
            // Tried again, which is in another entry or in RETRIES.
            _ => {}
        }
    }
}

async fn position(broker: &Broker, endpoint: &Endpoint) -> anyhow::Result<Position> {
    let events = broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to name a stream")?;
    match events.consumer_info(endpoint.id.consumer_name()).await {
        Ok(info) => Ok(Position {
            settled_to: info.ack_floor.stream_sequence,
            taken_to: info.delivered.stream_sequence,
            in_delivery: info.num_ack_pending as u64,
        }),
        // None was made yet: nothing was taken.
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => Ok(Position::default()),
        Err(error) => Err(error).context("failed to look at the consumer of an endpoint"),
    }
}

async fn matched(broker: &Broker, endpoint: &Endpoint, span: &Span, position: Position) -> anyhow::Result<Matched> {
    let (first, last) = (*span.events.start(), *span.events.end());
    let to = async |sequence: u64| {
        if sequence < first {
            return Ok(0);
        }
        let start = DeliverPolicy::ByStartSequence { start_sequence: first };
        figures::between(broker, stream::EVENTS, &endpoint.subjects, start, sequence).await
    };
    let all = to(last).await?;
    let up_to = async |sequence: u64| if sequence >= last { Ok(all) } else { to(sequence).await };
    Ok(Matched { all, settled: up_to(position.settled_to).await?, taken: up_to(position.taken_to).await? })
}

async fn retried(broker: &Broker, endpoint: &Endpoint, span: &Span) -> anyhow::Result<Sequences> {
    let mut retried = Sequences::within(&span.events);
    let subjects = figures::subjects(broker, stream::RETRIES, &subject::retries_of(&endpoint.id)).await?;
    for retry in subjects.iter().filter_map(|subject| subject::parse_retry(subject)) {
        retried.insert(retry.sequence);
    }
    Ok(retried)
}

/// Every message of a subject that was stored since the span began and is there now.
async fn read(
    broker: &Broker,
    name: &str,
    filter: String,
    span: &Span,
    mut each: impl FnMut(&[u8]) -> serde_json::Result<()>,
) -> anyhow::Result<()> {
    let start = DeliverPolicy::ByStartTime { start_time: span.since };
    let consumer = figures::passing(broker, name, &[filter], start).await?;
    let count = consumer.cached_info().num_pending;
    let failed = || format!("failed to read {name}");
    if count > 0 {
        let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await.with_context(failed)?;
        while let Some(message) = messages.next().await {
            let message = message.with_context(failed)?;
            if let Err(error) = each(&message.payload) {
                tracing::warn!("what {name} holds cannot be read and is in no ledger: {error}");
            }
            let info = message.info().map_err(anyhow::Error::from_boxed).with_context(failed)?;
            // What is stored from now on is another ledger's; what was removed meanwhile does not come.
            if info.consumer_sequence >= count || info.pending == 0 {
                break;
            }
        }
    }
    // It would go by itself.
    let _ = broker.jetstream.delete_consumer_from_stream(&consumer.cached_info().name, name).await;
    Ok(())
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
        let failed = AttemptResult::Failed { class: "connect".to_owned(), message: "refused".to_owned() };
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        let batch = serde_json::to_vec(&[
            attempt(1, 1, AttemptResult::Delivered { status: 204, headers }),
            attempt(2, 1, AttemptResult::Filtered { by: "content".to_owned() }),
            attempt(3, 1, refused()),
            attempt(4, 4, refused()),
            attempt(5, 4, failed),
        ])
        .unwrap();
        let empty = || Sequences::within(&(1..=9));
        let mut places =
            Places { delivered: empty(), buried: empty(), retried: empty(), filtered: empty(), given_up: empty() };
        for recorded in serde_json::from_slice::<Vec<Recorded<'_>>>(&batch).unwrap() {
            recorded.enter(&mut places, &RetryPolicy::default());
        }
        let counts =
            [&places.delivered, &places.filtered, &places.given_up].map(|place| (place.count(), place.count_to(3)));
        assert_eq!(counts, [(1, 1), (1, 1), (2, 0)]);
    }
}

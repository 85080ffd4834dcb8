//! The rows of a full search index, and the queries that are asked of it.

use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::{Context, context::PublishAckFuture, message::PublishMessage},
};
use kurir_contract::{
    clock,
    delivery::{AttemptRecord, AttemptResult},
    endpoint::EndpointId,
    event::EventId,
    header, subject,
};
use serde_json::{Value, json};
use std::time::Duration;
use time::OffsetDateTime;

/// Publishes before their acknowledgements are awaited.
const PUBLISHING: usize = 1_000;
/// Attempts in one message, as the dispatcher writes them.
const BATCH: usize = 64;
const SESSIONS: u64 = 5;
const CHATS: u64 = 5_000;
const ENDPOINTS: u64 = 20;
const WORDS: u64 = 20_000;
/// All attempts were made within this time.
const SPAN: Duration = Duration::from_secs(6 * 24 * 60 * 60);

/// The lists. What stands in braces is another value for each request.
pub const QUERIES: &[&str] = &[
    "/api/events",
    "/api/events?after={row}",
    "/api/events?type=message.received",
    "/api/events?type=message.*",
    "/api/events?type=group.updated",
    "/api/events?session={session}",
    "/api/events?session={session}&type=message.ack",
    "/api/events?session=rare&type=message.ack",
    "/api/events?chat={chat}",
    "/api/events?chat={chat}&type=group.updated",
    "/api/events?messageId={message}",
    "/api/events?since={stored}&until={stored later}",
    "/api/events?since={stored}&until={stored later}&session=rare",
    "/api/events/{event}/life",
    "/api/deliveries",
    "/api/deliveries?endpoint={endpoint}",
    "/api/deliveries?endpoint={endpoint}&outcome=refused",
    "/api/deliveries?outcome=failed",
    "/api/deliveries?status=500",
    "/api/deliveries?status=410",
    "/api/deliveries?session={session}&outcome=delivered",
    "/api/deliveries?session=rare&endpoint={endpoint}",
    "/api/deliveries?chat={chat}",
    "/api/deliveries?chat={chat}&endpoint={endpoint}",
    "/api/deliveries?type=message.ack&endpoint={endpoint}",
    "/api/deliveries?event={event}",
    "/api/deliveries?since={time}&until={later}",
    "/api/deliveries?since={time}&until={later}&endpoint={endpoint}",
    "/api/chats",
    "/api/chats?session={session}",
    "/api/chats/{chat}/messages",
    "/api/contacts",
    "/api/contacts?q=nobody",
    "/api/contacts?q=Person%201",
    "/api/search?q={word}",
    "/api/search?q=w0",
    "/api/search?q=w1%20w2",
    "/api/search?q=w",
    "/api/search?q=w0&session=rare",
    "/api/search?q={phone}",
    "/api/statistics",
    "/api/statistics?hours=168&endpoint={endpoint}",
];

/// What was stored.
pub struct IndexRows {
    rows: u64,
    begin: OffsetDateTime,
    /// When the first and the last event were stored.
    stored: (OffsetDateTime, OffsetDateTime),
}

impl IndexRows {
    /// Stores so many events, and one attempt for each.
    pub async fn fill(jetstream: &Context, rows: u64) -> anyhow::Result<Self> {
        let now = OffsetDateTime::now_utc();
        let mut own = Self { rows, begin: now - SPAN, stored: (now, now) };
        let mut publisher = WindowedPublisher { jetstream, stored: Vec::with_capacity(PUBLISHING) };
        for row in 0..rows {
            let (session, kind, body) = own.event(row);
            publisher.publish(format!("whatsapp.events.{session}.{kind}"), &event_id(row), body.to_string()).await?;
        }
        own.stored.1 = OffsetDateTime::now_utc();
        for first in (0..rows).step_by(BATCH) {
            let endpoint = endpoint(first / BATCH as u64)?;
            let records = (first..rows.min(first + BATCH as u64)).map(|row| own.attempt(row, &endpoint));
            let records = records.collect::<anyhow::Result<Vec<_>>>()?;
            let payload = serde_json::to_string(&records)?;
            publisher.publish(subject::deliveries(&endpoint), &format!("batch_{first}"), payload).await?;
        }
        publisher.finish().await?;
        Ok(own)
    }

    /// The path of a query's request.
    pub fn path(&self, query: &str, number: usize) -> String {
        let row = mixed(number as u64) % self.rows;
        let time = self.time(row);
        let (first, last) = self.stored;
        let part = (last - first) / 100;
        let stored = first + part * u32::try_from(row % 90).unwrap_or_default();
        let text = |at: OffsetDateTime| clock::iso(at).replace(':', "%3A").replace('+', "%2B");
        let values = [
            ("{row}", row.to_string()),
            ("{session}", format!("s{}", row % SESSIONS)),
            ("{chat}", chat(row).replace('@', "%40")),
            ("{phone}", chat(row)[..9].to_owned()),
            ("{message}", message_id(row)),
            ("{event}", event_id(row)),
            ("{endpoint}", format!("ep_{}", row % ENDPOINTS)),
            ("{word}", format!("w{}", mixed(row) % WORDS)),
            ("{time}", text(time)),
            ("{stored}", text(stored)),
            ("{stored later}", text(stored + part)),
            ("{later}", text(time + Duration::from_secs(3_600))),
        ];
        values.iter().fold(query.to_owned(), |path, (name, value)| path.replace(name, value))
    }

    fn time(&self, row: u64) -> OffsetDateTime {
        self.begin + SPAN.mul_f64(row as f64 / self.rows as f64)
    }

    /// Session, type and body.
    fn event(&self, row: u64) -> (String, &'static str, Value) {
        let (session, at) = (format!("s{}", row % SESSIONS), clock::iso(self.time(row)));
        // A message, and what follows it.
        let of = row - row % 4;
        let (chat, message) = (chat(of), message_id(of));
        let envelope = |kind: &str, data: Value| json!({"event": kind, "timestamp": at, "data": data});
        // Forty rows of a session that has hardly any, spread over all.
        if row % (self.rows / 40).max(1) == 7 {
            let data = json!({"messageId": message, "chat": chat, "status": "read"});
            return ("rare".to_owned(), "message.ack", envelope("message.ack", data));
        }
        match row % 4 {
            0 | 1 => {
                let name = format!("Person {}", mixed(of) % CHATS);
                let data = json!({
                    "messageId": message_id(row), "from": chat, "messageType": "text",
                    "content": {"text": words(row)}, "sender": {"pushName": name}, "author": {"jid": chat},
                });
                (session, "message.received", envelope("message.received", data))
            }
            2 if row % 10_000 == 2 => (session, "group.updated", envelope("group.updated", json!({"chat": chat}))),
            _ => {
                let data = json!({"messageId": message, "chat": chat, "status": "read"});
                (session, "message.ack", envelope("message.ack", data))
            }
        }
    }

    fn attempt(&self, row: u64, endpoint: &EndpointId) -> anyhow::Result<AttemptRecord> {
        let (_, kind, _) = self.event(row);
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let result = match mixed(row) % 100 {
            0 => AttemptResult::Refused { status: 500, body: "Internal Server Error".to_owned(), headers },
            1 => AttemptResult::Failed { class: "timeout".to_owned(), phase: None, message: "no answer".to_owned() },
            _ => AttemptResult::Delivered { status: 200, headers },
        };
        Ok(AttemptRecord {
            event_id: EventId::from_header(&event_id(row)),
            event: kind.parse().context("an event's type")?,
            endpoint: endpoint.clone(),
            sequence: row + 1,
            attempt: 1,
            result,
            duration_ms: mixed(row) % 300,
            at: clock::iso(self.time(row)),
            replay: None,
        })
    }
}

struct WindowedPublisher<'a> {
    jetstream: &'a Context,
    stored: Vec<PublishAckFuture>,
}

impl WindowedPublisher<'_> {
    async fn publish(&mut self, subject: String, id: &str, payload: String) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::EVENT_ID, id);
        let message = PublishMessage::build().headers(headers).payload(payload.into());
        self.stored.push(self.jetstream.send_publish(subject, message).await.context("failed to publish")?);
        if self.stored.len() == PUBLISHING { self.finish().await } else { Ok(()) }
    }

    async fn finish(&mut self) -> anyhow::Result<()> {
        for stored in self.stored.drain(..) {
            stored.await.context("failed to store a row")?;
        }
        Ok(())
    }
}

/// Spreads numbers.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 8
}

fn chat(row: u64) -> String {
    format!("62812{:08}@s.whatsapp.net", mixed(row) % CHATS)
}

fn message_id(row: u64) -> String {
    format!("3EB0{:016X}", mixed(row ^ 0x5eed))
}

fn event_id(row: u64) -> String {
    format!("evt_{:016x}{row:016x}", mixed(row))
}

fn endpoint(number: u64) -> anyhow::Result<EndpointId> {
    format!("ep_{}", number % ENDPOINTS).parse().context("an endpoint's id")
}

/// Eight words. A few of them are in nearly every text, most are rare, as in any language.
fn words(row: u64) -> String {
    let word = |place: u64| {
        let part = (mixed(row.wrapping_mul(8) + place) % 10_000) as f64 / 10_000.0;
        format!("w{}", (part.powi(4) * WORDS as f64) as u64)
    };
    (0..8).map(word).collect::<Vec<_>>().join(" ")
}

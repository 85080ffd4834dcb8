//! The JetStream streams, as figures. `kurir-chassis` makes those that are missing; every service may do so.

use std::time::Duration;

/// Events, as they are delivered. The payload is the HTTP body, the event id is `Nats-Msg-Id`.
pub const EVENTS: &str = "EVENTS";
/// Deliveries that wait for their next attempt, as scheduled messages.
pub const RETRIES: &str = "RETRIES";
/// Jobs: sends that wait for their time, as scheduled messages, or go out now.
pub const OUTBOX: &str = "OUTBOX";
/// Every attempt, in batches.
pub const DELIVERIES: &str = "DELIVERIES";
/// Events that were given up for an endpoint.
pub const DEAD_LETTERS: &str = "DEAD_LETTERS";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// WhatsApp itself keeps what was not fetched for 14 days; so do we.
pub const EVENTS_MAX_AGE: Duration = DAY.saturating_mul(14);
/// Within it a repeated `Nats-Msg-Id` is stored once. WhatsApp redelivers at the next connection, which may be hours
/// later; an id costs 190 bytes of NATS' memory, so a day is affordable where the default is two minutes.
pub const EVENTS_DUPLICATE_WINDOW: Duration = DAY;
/// Within it a job that is handed in twice is stored once; a caller that had no answer asks again sooner.
pub const OUTBOX_DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);
pub const DELIVERIES_MAX_AGE: Duration = DAY.saturating_mul(7);
pub const DEAD_LETTERS_MAX_AGE: Duration = DAY.saturating_mul(30);
/// JetStream's default is refused at 1,000 consumers; each endpoint is one.
pub const MAX_CONSUMERS: i32 = 100_000;

//! The names and limits of the JetStream streams. `kurir-chassis` creates those that are missing, for every service.

use std::time::Duration;

/// Events. The payload is the body of the webhook, `Nats-Msg-Id` is the event's id.
pub const EVENTS: &str = "EVENTS";
/// Deliveries that wait for their next attempt, as scheduled messages.
pub const RETRIES: &str = "RETRIES";
/// Jobs: sends that wait for their time as scheduled messages, or go out now.
pub const OUTBOX: &str = "OUTBOX";
/// The records of attempts, in batches.
pub const DELIVERIES: &str = "DELIVERIES";
/// Events that were given up for an endpoint.
pub const DEAD_LETTERS: &str = "DEAD_LETTERS";
/// The audit log: each request of the API that changes something.
pub const AUDIT: &str = "AUDIT";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// WhatsApp keeps messages that no device has fetched for 14 days; Kurir keeps events as long.
pub const EVENTS_MAX_AGE: Duration = DAY.saturating_mul(14);
/// Within this time EVENTS stores a repeated `Nats-Msg-Id` once. WhatsApp delivers a message again at the next connection,
/// which may be hours later. An id costs 190 bytes of NATS' memory, so a day is affordable; the default is two minutes.
pub const EVENTS_DUPLICATE_WINDOW: Duration = DAY;
/// Within this time a job that is published twice is stored once. A caller without an answer asks again sooner.
pub const OUTBOX_DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);
pub const DELIVERIES_MAX_AGE: Duration = DAY.saturating_mul(7);
pub const DEAD_LETTERS_MAX_AGE: Duration = DAY.saturating_mul(30);
pub const AUDIT_MAX_AGE: Duration = DAY.saturating_mul(365);
/// By default a stream has at most 1,000 consumers; each endpoint needs one.
pub const MAX_CONSUMERS: i32 = 100_000;

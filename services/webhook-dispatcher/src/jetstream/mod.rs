//! What NATS JetStream stores for the dispatchers, and how it hands out messages.
//!
//! `consumer` is an endpoint's durable consumers. `pull_budget` counts how many messages may be requested from a
//! consumer, `pull_inbox` requests and receives them for all endpoints, `pinned_pull` does so for one endpoint that
//! keeps its chats in order. A message that has come is a `pending_message` until it is settled: `ack_subject` reads
//! what NATS says about it, `recent_acks` remembers what was settled.
//!
//! `retry_queue` and `parked_events` are the two uses of RETRIES, `event_reader` reads single events,
//! `events_identity` tells one stream EVENTS from another, `stream_counts`
//! counts messages.

pub mod ack_subject;
pub mod consumer;
pub mod event_reader;
pub mod events_identity;
pub mod parked_events;
pub mod pending_message;
pub mod pinned_pull;
pub mod pull_budget;
pub mod pull_inbox;
pub mod recent_acks;
pub mod retry_queue;
pub mod stream_counts;

//! What NATS JetStream holds and hands out.

pub mod ack_subject;
pub mod consumer;
pub mod event_reader;
pub mod kv_bucket;
pub mod parked_events;
pub mod pending_message;
pub mod pinned_pull;
pub mod publish;
pub mod pull_budget;
pub mod pull_inbox;
pub mod recent_acks;
pub mod retry_queue;
pub mod stream_counts;

//! The gateway against a real NATS and the simulated WhatsApp, each part a process.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod changes;
mod chat_out;
mod content;
mod endings;
mod idempotency;
mod inbound;
mod kinds;
mod notices;
mod outage;
mod outbound;
mod pairing;
mod schema;
mod world;

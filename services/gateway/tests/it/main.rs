//! The gateway against a real NATS and the simulated WhatsApp. Each of them is a process.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod adoption;
mod appearance;
mod asked_again;
mod changes;
mod chat_out;
mod content;
mod damaged_session;
mod endings;
mod fleet;
mod forged_commands;
mod forwarding;
mod full_disk;
mod groups;
mod hostile_media;
mod hostile_text;
mod idempotency;
mod inbound;
mod jobs;
mod journal;
mod kinds;
mod long_outage;
mod lost_stores;
mod media;
mod notices;
mod outage;
mod outbound;
mod oversized;
mod own_damaged;
mod pairing;
mod passkey;
mod people;
mod phone;
mod restriction;
mod schema;
mod send_handover;
mod send_media;
mod silence;
mod storage_full;
mod takeover;
mod two_gateways;
mod unhooked;
mod unknown_content;
mod whatsapp_reach;
mod world;

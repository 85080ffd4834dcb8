//! The API as its callers meet it: the built binary, a NATS of one's own, real HTTP.
//!
//! Webhooks go through the built dispatcher. Where a gateway would answer, a stand-in on the same subjects does, for the
//! texts and the status codes only: `tests/end-to-end` goes the whole way with the real one. A file per section of the
//! contract.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod api;
mod authentication;
mod broker_away;
mod bulk;
mod captured_uploads;
mod chat;
mod clients;
mod connections;
mod content;
mod contract_v3;
mod conventions;
mod conversions;
mod dead_letters;
mod early_answers;
mod endpoint_changes;
mod endpoint_tests;
mod endpoints;
mod event_life;
mod event_stream;
mod form_bounds;
mod fuzz;
mod groups_and_people;
mod history;
mod hostile_load;
mod idempotency;
mod keys;
mod link_previews;
mod listening;
mod media;
mod openapi;
mod other_routes;
mod passkey;
mod raw;
mod replays;
mod requests;
mod schemathesis;
mod send_media;
mod settings;
mod shapes;
mod shutdown;
mod stand_in;
mod tls;
mod webhook_routes;
mod what_is_marked;
mod whatsapp_routes;

//! Kurir as its users have it: every process real, WhatsApp simulated. A file per promise (docs/guarantees.md).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod book;
mod broker_outage;
mod chat;
mod clocks;
mod cluster;
mod compose;
mod contract;
mod dashboard_in_browser;
mod delivery;
mod demo;
mod doctor;
mod documents;
mod endings;
mod endpoints;
mod expect;
mod gateway_killed;
mod groups;
mod helm;
mod inbound;
mod jobs;
mod log_rotation;
mod log_secrets;
mod media;
mod moving_sessions;
mod n8n;
mod observability;
mod outbound;
mod pairing;
mod passkey;
mod passkey_in_browser;
mod proxies;
mod receivers;
mod released;
mod replies;
mod restored_backup;
mod send_media;
mod sessions;
mod settings_page;
mod stored_secrets;
mod terminal;
mod traces;
mod upgrade;

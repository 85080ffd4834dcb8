//! The committed files that are generated from the contract's types: schemas, AsyncAPI, `docs/events.md`.
//!
//! `KURIR_WRITE=1 cargo test -p kurir-contract` writes them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asyncapi;
mod committed;
mod events_page;
mod schemas;

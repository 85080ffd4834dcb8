//! What is generated from the contract's types and committed is what the types say.
//!
//! `KURIR_WRITE=1 cargo test -p kurir-contract` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asyncapi;
mod committed;
mod events_page;
mod schemas;

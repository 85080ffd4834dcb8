//! The contract with the users of WhatsApp API v3 (`docs/contract-v3.md`), through all of Kurir.
//!
//! `rows` sends every request that has a fixed answer. The other files check sections that are more than one request:
//! settings, events, deliveries, logs, names.

mod deliveries;
mod environment;
mod events;
mod logs;
mod names;
mod rows;

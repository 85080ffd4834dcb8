//! Everything that one process of Kurir sends to another: types, subjects, streams, headers.
//!
//! In the order in which an event passes through the modules: `session`, `session_record`, `address` and `chat` say whose event it is,
//! `event` defines its content, `subject`, `stream` and `header` define how NATS carries it, `endpoint` says who receives it,
//! `address_guard` which receivers are forbidden, and `delivery` records each attempt; `audit` records each change. `command`, `job` and `webhook` are
//! requests in the other direction. This crate does no I/O. No other crate writes a subject, a stream's name or a header's
//! name as text.
//!
//! Where comments say "the contract", they mean `docs/contract-v3.md`: what users of WhatsApp API v3 rely on.

pub mod address;
pub mod address_guard;
pub mod audit;
pub mod chat;
pub mod clock;
pub mod command;
pub mod delivery;
pub mod endpoint;
mod endpoint_id;
pub mod event;
#[cfg(test)]
mod fuzz;
pub mod header;
pub mod job;
mod job_id;
pub mod media;
pub mod proxy_url;
mod recipient;
pub mod service;
pub mod session;
pub mod session_record;
pub mod stream;
pub mod subject;
pub mod webhook;

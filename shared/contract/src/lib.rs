//! All that crosses a process in Kurir: the types and the subjects, in the order in which an event meets them.
//!
//! `session`, `address` and `chat` say whose event it is, `event` what it holds, `subject`, `stream` and `header` how it
//! travels, `endpoint` and `delivery` what becomes of it, `address_guard` where it must not go, `command`,
//! `job` and `webhook` what comes the other way. Nothing here does I/O, and no other crate spells a subject, a stream name or a
//! header.

pub mod address;
pub mod address_guard;
pub mod chat;
pub mod clock;
pub mod command;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod header;
pub mod job;
pub mod media;
pub mod service;
pub mod session;
pub mod stream;
pub mod subject;
pub mod webhook;

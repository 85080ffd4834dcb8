//! The path of one command to WhatsApp.
//!
//! `content` makes the message, a file for each kind. `send` is done when WhatsApp's server has acknowledged the message (`acks`), to somebody who is on WhatsApp
//! (`recipients`), and
//! once for each key of a caller (`idempotency`).

pub mod content;

pub mod acks;
pub mod idempotency;
mod recipients;
pub mod send;

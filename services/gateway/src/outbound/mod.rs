//! The path of one command to WhatsApp.
//!
//! `send` is done when WhatsApp's server has acknowledged the message (`acks`), to somebody who is on WhatsApp
//! (`recipients`).

pub mod acks;
mod recipients;
pub mod send;

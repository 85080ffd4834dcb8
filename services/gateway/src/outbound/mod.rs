//! The path of one command to WhatsApp.
//!
//! `send` is done when WhatsApp's server has acknowledged the message (`acks`), to somebody who is on WhatsApp
//! (`recipients`), in the order in which the messages to a chat came (`turns`).

pub mod acks;
mod recipients;
pub mod send;
pub mod turns;

//! The connection to WhatsApp: the client, and the task that opens and closes it.
//!
//! [`SessionTask`] owns the session. It turns what happens into signals, lets `session::state` decide, and acts. `client`
//! makes one client, `sockets` connects it, through a proxy if the session has one, `listener` receives its events,
//! `gated_transport` stops its input before it closes, and `qr` prints a QR code in the terminal.

pub mod client;
pub mod gated_transport;
pub mod listener;
mod qr;
#[cfg(feature = "simulator")]
mod simulated_phone;
mod sockets;
mod task;

pub use sockets::whatsapp_address;
pub use task::{SessionTask, new_session};

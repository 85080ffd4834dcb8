//! What Kurir's tests share: real parts that a test can start, break and inspect.
//!
//! - [`binaries`]: finds the built programs.
//! - [`process`]: runs one of them, keeps its output, and kills it when the test ends.
//! - [`nats`]: a nats-server for one test.
//! - [`cable`]: a connection between two parts, which can be cut or frozen.
//! - [`receiver`]: the HTTP server that receives webhooks, with scripted answers, good and bad.
//! - [`http`]: an HTTP client for the test itself.
//! - [`stack`]: all of Kurir together.
//! - [`contract_v3`]: sends the rows of `tests/contract-v3/`; [`json_match`] compares the answers.
//! - [`faketime`]: a wrong clock for a process.
//! - [`witness`]: other clients of WhatsApp, which nobody here wrote.
//! - [`wait`]: waits for conditions, never for time.
//! - [`port`]: reserves ports; [`tcp_server`] listens on them.
//!
//! A fixture that fails panics and says why.

pub mod authority;
pub mod binaries;
pub mod cable;
pub mod contract_v3;
pub mod faketime;
pub mod http;
pub mod json_match;
pub mod nats;
pub mod port;
pub mod process;
pub mod receiver;
pub mod stack;
mod tcp_server;
pub mod wait;
pub mod witness;

pub use authority::TestAuthority;
pub use cable::NetworkCable;
pub use nats::Nats;
pub use port::Port;
pub use process::Process;
pub use receiver::{Answer, Receiver, Request};
pub use stack::Stack;
pub use wait::until;

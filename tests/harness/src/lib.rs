//! What Kurir's tests share, once: real parts that a test can start, break and look into.
//!
//! - [`binaries`]: where the built programs are.
//! - [`process`]: one of them running, its output kept, killed when the test ends.
//! - [`nats`]: a nats-server of one's own.
//! - [`cable`]: the wire between two parts, which can be cut or frozen.
//! - [`receiver`]: the HTTP server that webhooks go to, with scripted answers, good and bad.
//! - [`http`]: a client for the test itself.
//! - [`stack`]: all of Kurir together.
//! - [`wait`]: for conditions, never for time.
//! - [`port`]: ports that nobody else takes meanwhile; [`listening`] on them.
//!
//! A fixture that cannot do what it is asked panics and says why: a test has nothing better to do.

pub mod binaries;
pub mod cable;
pub mod http;
mod listening;
pub mod nats;
pub mod port;
pub mod process;
pub mod receiver;
pub mod stack;
pub mod wait;

pub use cable::Cable;
pub use nats::Nats;
pub use port::Port;
pub use process::Process;
pub use receiver::{Answer, Receiver, Request};
pub use stack::Stack;
pub use wait::until;

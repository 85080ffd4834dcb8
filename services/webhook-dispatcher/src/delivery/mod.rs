//! One attempt, from the message to its settlement.

mod attempt;
pub mod attempt_log;
pub mod context;
mod dead_letters;
pub mod deliverer;
mod exchange;
pub mod format;
mod http_client;
pub mod media;
pub mod ordered;
mod outcome;
mod request;
mod resolver;
pub mod result;
mod settlement;
pub mod signature;
pub mod transport;

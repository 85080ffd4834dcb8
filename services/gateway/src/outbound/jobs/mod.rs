//! Sends that wait: jobs that a user hands in, and single messages that cannot go out yet.
//!
//! `queue` stores a job in OUTBOX before anybody is told of it, and `records` holds how far it has come. `runner` takes the
//! jobs whose time has come, and `run` sends one of them, message by message. Every message has an id made of its job and
//! its place, so a crash between a send and its record repeats it under the same id, which the recipient's app drops.

mod job_event;
mod queue;
mod records;
mod run;
mod runner;

pub use queue::JobQueue;
pub use runner::JobRunner;

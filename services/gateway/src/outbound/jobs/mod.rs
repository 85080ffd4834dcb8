//! Sends that wait: jobs that a user submits, and single messages that cannot be sent yet.
//!
//! `queue` stores a job in OUTBOX before anything refers to it, and `records` holds its progress. `runner` takes the
//! jobs whose time has come, and `run` sends the messages of one job. Every message has an id made from its job and its
//! index, so a crash between a send and its record repeats the message under the same id, and the recipient's app drops
//! the repeat.

mod audit;
mod job_event;
mod queue;
mod records;
mod run;
mod runner;

pub use audit::JobAudit;
pub use queue::{JobQueue, SendIntent};
pub use runner::JobRunner;

//! What a service needs to be one, in the order in which its life meets it.
//!
//! `service` is the frame of every `main`: settings are read and checked (`settings`), logs and traces begin
//! (`telemetry`, through `log_lines` and `log_redaction`), a signal asks for the end (`shutdown`), every task is supervised (`tasks`). `broker` connects to NATS
//! and makes what is missing there, `objects` are files in it, `health` tells the world whether the service works.

pub mod backoff;
pub mod broker;
pub mod bucket;
pub mod health;
mod log_lines;
mod log_redaction;
pub mod metrics;
pub mod objects;
pub mod publish;
pub mod service;
pub mod settings;
pub mod shutdown;
pub mod size;
pub mod tasks;
pub mod telemetry;
pub mod trace_context;

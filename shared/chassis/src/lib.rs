//! The parts that every service shares, in the order in which a service uses them.
//!
//! `service` runs every `main`: it reads and checks the settings (`settings`, `byte_size`), starts logs and traces
//! (`telemetry`, `log_lines`, `log_redaction`, `trace_context`), waits for a signal (`shutdown`) and supervises the tasks (`tasks`). `broker`
//! connects to NATS (through `nats_login`), checks it (`nats_requirements`), reads its clock (`nats_clock`) and creates missing streams; `publish` stores messages, `bucket` reads and writes values, `objects`
//! reads and writes files there, and `backoff` is the pause between tries of any of them. `health` reports whether the
//! service works, `metrics` what it counts, `process_metrics` what its process uses; `metrics_push` (with `otlp_metrics`) hands it to a
//! collector. `webhook_settings` are those of the endpoint `default`, and
//! `proxy_tunnel` leads through a proxy. `sealed_file` encrypts what leaves an installation, `session_archive` is such a file,
//! and `key_ring` seals what is stored in NATS.

pub mod backoff;
pub mod broker;
pub mod bucket;
pub mod byte_size;
pub mod counted_subscription;
mod env_file;
#[cfg(test)]
mod fuzz;
pub mod health;
pub mod key_ring;
mod log_file;
mod log_lines;
mod log_redaction;
mod log_repeats;
pub mod metrics;
pub mod metrics_push;
pub mod nats_clock;
pub mod nats_login;
mod nats_requirements;
pub mod objects;
mod otlp_metrics;
pub mod process_metrics;
pub mod proxy_tunnel;
pub mod publish;
pub mod sealed_file;
pub mod service;
pub mod session_archive;
pub mod settings;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod trace_context;
pub mod webhook_settings;

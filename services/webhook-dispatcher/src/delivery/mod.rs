//! One attempt, from the message to its settlement:
//! [`EndpointDeliverer::deliver`](deliverer::EndpointDeliverer::deliver) shows every step.
//!
//! `format` writes the event as its endpoint wants it, `media` adds a file, `request` and `signature` make the request.
//! `exchange` sends it with `http_client`, to where `resolver` leads and `guard` allows, over what `transport` and `trust`
//! share. `outcome` judges the answer; by its `failure_kind`, `receiver_health` tells an outage from the failure of one
//! event, and `decision` says what follows. `settlement` stores the end: in RETRIES, in `dead_letters` and in the
//! `attempt_log`. An endpoint that keeps its chats in order settles by `ordered` instead. `attempt` and `result` are what
//! these pass on, `context` is what all endpoints share.

mod attempt;
pub mod attempt_log;
pub mod context;
mod current_phase;
pub mod dead_letters;
mod decision;
pub mod deliverer;
mod exchange;
mod failure_kind;
pub mod format;
mod guard;
pub mod http_client;
pub mod media;
pub mod ordered;
pub mod outcome;
mod raw_field;
mod receiver_health;
mod request;
mod resolver;
mod resolver_files;
pub mod result;
pub mod retry_after;
mod settlement;
pub mod signature;
pub mod transport;
pub mod trust;

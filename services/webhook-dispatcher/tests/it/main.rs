//! Tests of the dispatcher's binary with a nats-server, an HTTP receiver, and failures between them.
//!
//! Each file holds the tests of one promise; `stage` sets up the parts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod backpressure;
mod broker_away;
mod circuit;
mod clocks;
mod crashes;
mod default_endpoint;
mod delivery;
mod endpoints;
mod filters;
mod formats;
mod full_streams;
mod giving_up;
mod hostile;
mod hostile_zoo;
mod ledger;
mod limits;
mod media;
mod metrics;
mod names;
mod nginx;
mod odd_answers;
mod ordering;
mod outage;
mod phases;
mod policies;
mod positions;
mod replay;
mod replay_order;
mod retries;
mod scale;
mod settings;
mod sharing;
mod shutdown;
mod signature;
mod slow_receivers;
mod stage;

//! The dispatcher as it is run: its binary, a nats-server, an HTTP receiver, and what goes wrong between them.
//!
//! Each file holds the tests of one promise; `stage` sets up the parts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod broker_away;
mod circuit;
mod crashes;
mod delivery;
mod endpoints;
mod filters;
mod formats;
mod giving_up;
mod hostile;
mod ledger;
mod limits;
mod media;
mod metrics;
mod ordering;
mod policies;
mod replay;
mod retries;
mod scale;
mod settings;
mod sharing;
mod shutdown;
mod signature;
mod stage;

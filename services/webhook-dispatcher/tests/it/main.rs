//! The dispatcher as it is run: its binary, a nats-server, an HTTP receiver, and what goes wrong between them.
//!
//! Each file holds the tests of one promise; `stage` sets up the parts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker_away;
mod crashes;
mod delivery;
mod giving_up;
mod ordering;
mod retries;
mod settings;
mod sharing;
mod shutdown;
mod stage;

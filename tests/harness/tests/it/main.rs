//! The fixtures themselves: a test that breaks something must be able to trust the tool that it breaks it with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cable;
mod nats;
mod process;
mod receiver;
mod wait;

use std::time::Duration;

/// For what takes milliseconds on a machine that is not busy.
const SOON: Duration = Duration::from_secs(20);

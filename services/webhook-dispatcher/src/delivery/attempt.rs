//! One attempt: what it is asked to do, how it ended, and what follows.

use crate::{delivery::outcome::AttemptFailure, event::StoredEvent, jetstream::retry_queue::RetryScope};
use kurir_chassis::trace_context;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tracing::Span;

/// An attempt that is asked for.
pub struct DeliveryAttempt {
    pub event: StoredEvent,
    /// Counted from 1.
    pub attempt: u32,
    /// Where its retries belong; none while it is a fresh event.
    pub place: Option<RetryScope>,
    /// The endpoint's circuit is open, and this tries whether it works again.
    pub probe: bool,
}

/// How it ended.
pub enum ExchangeEnd {
    Delivered {
        status: u16,
    },
    /// Boxed: the rare one, and what is moved about for every event stays small.
    Failed(Box<AttemptFailure>),
}

/// What comes after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    Attempt {
        /// Counted from 1.
        attempt: u32,
        at: OffsetDateTime,
    },
    /// It is given up.
    Nothing,
    /// The receiver is gone for good: the endpoint is to be disabled, and the event waits with all others.
    Disable,
}

impl DeliveryAttempt {
    pub fn span(&self) -> Span {
        let span = tracing::info_span!("webhook", event.id = %self.event.id, attempt.number = self.attempt);
        trace_context::adopt(&span, self.event.headers.as_ref());
        span
    }
}

/// When an attempt began, and how long it took.
pub struct AttemptTiming {
    pub at: OffsetDateTime,
    pub began: Instant,
    pub duration: Duration,
}

impl AttemptTiming {
    pub fn now() -> Self {
        Self { at: OffsetDateTime::now_utc(), began: Instant::now(), duration: Duration::ZERO }
    }
}

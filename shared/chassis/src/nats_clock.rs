//! Reads the time of day from NATS, so that all services agree on it whatever their machines' clocks say.
//!
//! [`kurir_contract::clock::now`] shows it. Between two readings a monotonic clock counts: a jump of the machine's clock
//! changes nothing.

use async_nats::Client;
use kurir_contract::{clock, stream};
use serde::Deserialize;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A difference that is worth a warning: schedules and signatures are exact to the second.
const WARN_FROM: time::Duration = time::Duration::seconds(2);
/// A slower answer says too little about the time.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// How often NATS' clock is read. A clock drifts by milliseconds in this time.
const READ_INTERVAL: Duration = Duration::from_secs(30);

/// Shared by all clones.
#[derive(Clone, Default)]
pub struct NatsClock {
    has_warned: Arc<AtomicBool>,
    last: Arc<Mutex<Option<ClockReading>>>,
}

/// What was learnt when NATS' clock was read.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    pub round_trip: Duration,
    /// How far the clock of this machine was ahead of that of NATS.
    pub machine_ahead: time::Duration,
}

/// The part of NATS' answer that is read here.
#[derive(Deserialize)]
struct StreamTime {
    #[serde(with = "time::serde::rfc3339")]
    ts: OffsetDateTime,
}

impl NatsClock {
    /// The present time.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        clock::now()
    }

    /// Reads NATS' clock regularly until the shutdown: the machine's clock may jump, and drift.
    ///
    /// # Errors
    /// None.
    pub async fn follow(self, client: Client, shutdown: CancellationToken) -> anyhow::Result<()> {
        while timeout(READ_INTERVAL, shutdown.cancelled()).await.is_err() {
            self.synchronize(&client).await;
        }
        Ok(())
    }

    /// Reads NATS' clock. If there is no good answer, the last reading stands.
    pub async fn synchronize(&self, client: &Client) {
        let asked = Instant::now();
        let request = client.request(format!("$JS.API.STREAM.INFO.{}", stream::EVENTS), "".into());
        let Ok(Ok(answer)) = timeout(READ_TIMEOUT, request).await else { return };
        let Ok(StreamTime { ts }) = serde_json::from_slice(&answer.payload) else { return };
        // NATS has written its time somewhere in between.
        let (round_trip, machine) = (asked.elapsed(), OffsetDateTime::now_utc());
        let time = ts + round_trip / 2;
        clock::set_time(time);
        self.warn_if_off(time, machine);
        // Nothing can panic while it holds this lock.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(ClockReading { round_trip, machine_ahead: machine - time });
    }

    /// What was learnt last; none before the first reading.
    #[must_use]
    pub fn last_reading(&self) -> Option<ClockReading> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn_if_off(&self, time: OffsetDateTime, machine: OffsetDateTime) {
        let ahead = machine - time;
        let is_off = ahead.abs() >= WARN_FROM;
        if is_off && !self.has_warned.load(Ordering::Relaxed) {
            let (seconds, direction) =
                (ahead.abs().as_seconds_f64(), if ahead.is_positive() { "ahead of" } else { "behind" });
            tracing::warn!("the clock of this machine is {seconds:.1} s {direction} that of NATS: NATS' time is used");
        }
        self.has_warned.store(is_off, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_whose_clock_is_off_is_warned_about_in_both_directions() {
        for (seconds, warns) in [(-3600, true), (-1, false), (0, false), (1, false), (3, true)] {
            let (clock, machine) = (NatsClock::default(), OffsetDateTime::now_utc());
            clock.warn_if_off(machine + time::Duration::seconds(seconds), machine);
            assert_eq!(clock.has_warned.load(Ordering::Relaxed), warns, "{seconds}");
        }
    }

    #[test]
    fn nats_writes_its_time_so() {
        let answer = br#"{"type":"io.nats.jetstream.api.v1.stream_info_response","ts":"2026-11-24T13:27:25.042123Z"}"#;
        let StreamTime { ts } = serde_json::from_slice(answer).expect("a time");
        assert_eq!((ts.year(), ts.millisecond()), (2026, 42));
    }
}

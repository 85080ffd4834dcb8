//! The time of day as NATS has it, so that all services agree on it whatever their machines' clocks say.
//!
//! Between two readings of NATS' clock a monotonic clock counts: a jump of the machine's clock changes nothing.

use async_nats::Client;
use kurir_contract::stream;
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// A difference that is worth a warning: schedules and signatures are exact to the second.
const WARN_FROM: time::Duration = time::Duration::seconds(2);
/// A slower answer says too little about the time.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Shared by all clones.
#[derive(Clone)]
pub struct NatsClock(Arc<Mutex<ClockReading>>);

struct ClockReading {
    at: Instant,
    time: OffsetDateTime,
    has_warned: bool,
}

impl Default for NatsClock {
    /// The machine's clock, until NATS' clock is read.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(ClockReading {
            at: Instant::now(),
            time: OffsetDateTime::now_utc(),
            has_warned: false,
        })))
    }
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
        let reading = self.lock();
        reading.time + reading.at.elapsed()
    }

    /// Reads NATS' clock. If there is no good answer, the last reading stands.
    pub async fn synchronize(&self, client: &Client) {
        let asked = Instant::now();
        let request = client.request(format!("$JS.API.STREAM.INFO.{}", stream::EVENTS), "".into());
        let Ok(Ok(answer)) = tokio::time::timeout(READ_TIMEOUT, request).await else { return };
        let Ok(StreamTime { ts }) = serde_json::from_slice(&answer.payload) else { return };
        // NATS has written its time somewhere in between.
        self.set(ts + asked.elapsed() / 2, OffsetDateTime::now_utc());
    }

    fn set(&self, time: OffsetDateTime, machine: OffsetDateTime) {
        let mut reading = self.lock();
        let ahead = machine - time;
        let is_off = ahead.abs() >= WARN_FROM;
        if is_off && !reading.has_warned {
            let (seconds, direction) =
                (ahead.abs().as_seconds_f64(), if ahead.is_positive() { "ahead of" } else { "behind" });
            tracing::warn!("the clock of this machine is {seconds:.1} s {direction} that of NATS: NATS' time is used");
        }
        *reading = ClockReading { at: Instant::now(), time, has_warned: is_off };
    }

    fn lock(&self) -> MutexGuard<'_, ClockReading> {
        // Nothing can panic while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_nats_time_whatever_the_machine_shows() {
        for minutes in [-60, 0, 60] {
            let clock = NatsClock::default();
            let time = OffsetDateTime::now_utc() + time::Duration::minutes(minutes);
            clock.set(time, OffsetDateTime::now_utc());
            let shown = clock.now();
            assert!(shown >= time && shown - time < time::Duration::seconds(5), "{shown} instead of {time}");
            assert_eq!(clock.lock().has_warned, minutes != 0);
        }
    }

    #[test]
    fn nats_writes_its_time_so() {
        let answer = br#"{"type":"io.nats.jetstream.api.v1.stream_info_response","ts":"2026-11-24T13:27:25.042123Z"}"#;
        let StreamTime { ts } = serde_json::from_slice(answer).expect("a time");
        assert_eq!((ts.year(), ts.millisecond()), (2026, 42));
    }
}

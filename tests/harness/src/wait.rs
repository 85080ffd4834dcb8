//! Waits for a condition: checks it every 20 ms until it holds.
//!
//! A failed wait says what it waited for, where, and what it saw last. The deadline also ends a check that never returns.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Shorter than any wait, long enough to leave the processor to other tests.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs `check` until it gives a value, and returns the value.
///
/// The check gives an `Option`, a `bool`, or a `Result` whose error says what it saw instead.
///
/// # Panics
/// After `deadline`, with what the check saw last.
#[track_caller]
pub fn until<Q, F>(
    what: impl Display,
    deadline: Duration,
    mut check: Q,
) -> impl Future<Output = <F::Output as Observation>::Value>
where
    Q: FnMut() -> F,
    F: Future<Output: Observation>,
{
    let called_at = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut last_seen = "nothing yet".to_owned();
        loop {
            match timeout_at(end, check()).await.map(Observation::into_value) {
                Ok(Ok(answer)) => return answer,
                Ok(Err(seen)) => last_seen = seen,
                Err(_) => last_seen.push_str(" (the next check did not end)"),
            }
            if Instant::now() >= end {
                panic!("waited {deadline:?} in vain for: {what}\n  called at {called_at}\n  last seen: {last_seen}");
            }
            sleep(PAUSE).await;
        }
    }
}

/// What a check of [`until`] may give.
pub trait Observation {
    type Value;

    /// The value, or what was seen instead.
    fn into_value(self) -> Result<Self::Value, String>;
}

impl<T> Observation for Option<T> {
    type Value = T;

    fn into_value(self) -> Result<T, String> {
        self.ok_or_else(|| "None".to_owned())
    }
}

impl<T, E: Debug> Observation for Result<T, E> {
    type Value = T;

    fn into_value(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:?}"))
    }
}

impl Observation for bool {
    type Value = ();

    fn into_value(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

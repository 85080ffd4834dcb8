//! Waiting for a condition: asked every 20 ms until it holds.
//!
//! Who waits in vain learns what was waited for, where, and what was seen last. The deadline holds for
//! a question that never returns, too.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Short beside everything that is waited for, long enough to leave the processor to the others.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks `question` until it has an answer, and gives the answer.
///
/// The question gives an `Option`, a `bool`, or a `Result` whose error says what it saw instead.
///
/// # Panics
/// After `deadline`, with what was seen last.
#[track_caller]
pub fn until<Q, F>(
    what: impl Display,
    deadline: Duration,
    mut question: Q,
) -> impl Future<Output = <F::Output as Observation>::Answer>
where
    Q: FnMut() -> F,
    F: Future<Output: Observation>,
{
    let asked_at = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut last_seen = "nothing yet".to_owned();
        loop {
            match timeout_at(end, question()).await.map(Observation::answer) {
                Ok(Ok(answer)) => return answer,
                Ok(Err(seen)) => last_seen = seen,
                Err(_) => last_seen.push_str(" (asked again, no answer)"),
            }
            if Instant::now() >= end {
                panic!("waited {deadline:?} in vain for: {what}\n  asked at {asked_at}\n  last seen: {last_seen}");
            }
            sleep(PAUSE).await;
        }
    }
}

/// What a question of [`until`] may give.
pub trait Observation {
    type Answer;

    /// The answer, or what was seen instead.
    fn answer(self) -> Result<Self::Answer, String>;
}

impl<T> Observation for Option<T> {
    type Answer = T;

    fn answer(self) -> Result<T, String> {
        self.ok_or_else(|| "None".to_owned())
    }
}

impl<T, E: Debug> Observation for Result<T, E> {
    type Answer = T;

    fn answer(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:?}"))
    }
}

impl Observation for bool {
    type Answer = ();

    fn answer(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

//! Failures that repeat: while NATS is away every task reports it again and again. Of one place in the code so many lines a
//! minute are logged; the next one says how many were left out.
//!
//! The lines of deliveries are never left out: users follow each of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::{Layer, layer::Context};

/// Enough to see a pattern.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Each delivery has its lines.
const EXCEPT: &str = "kurir_webhook_dispatcher::delivery";
/// Modules that report failures at `info`, because they mend them by themselves.
const RETRYING: [&str; 4] = [
    "kurir_chassis::broker",
    "kurir_webhook_dispatcher::endpoints",
    "kurir_webhook_dispatcher::jetstream",
    "kurir_gateway::outbound::jobs",
];
/// Of the line that sums up.
const SUMMARY: &str = "kurir_chassis::log_repeats";

/// Lets the first lines of each place in the code pass.
#[derive(Default)]
pub struct RepeatLimit(Mutex<HashMap<Identifier, Window>>);

struct Window {
    begun: Instant,
    passed: u32,
    left_out: u32,
}

impl RepeatLimit {
    /// Whether a line of this place passes now, and how many were left out in the window before.
    fn admit(&self, place: Identifier, now: Instant) -> (bool, u32) {
        // Each change is whole, whatever happened to another thread.
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(place).or_insert(Window { begun: now, passed: 0, left_out: 0 });
        let mut before = 0;
        if now.duration_since(window.begun) >= WINDOW {
            before = window.left_out;
            *window = Window { begun: now, passed: 0, left_out: 0 };
        }
        let passes = window.passed < MOST;
        if passes {
            window.passed += 1;
        } else {
            window.left_out += 1;
        }
        (passes, before)
    }
}

fn is_limited(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    if target.starts_with(EXCEPT) || target == SUMMARY {
        return false;
    }
    *metadata.level() <= Level::WARN
        || (*metadata.level() == Level::INFO && RETRYING.iter().any(|module| target.starts_with(module)))
}

impl<S: Subscriber> Layer<S> for RepeatLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if !is_limited(metadata) {
            return true;
        }
        let (passes, before) = self.admit(metadata.callsite(), Instant::now());
        if before > 0 {
            let place = metadata.target();
            tracing::info!(target: SUMMARY, "{before} further lines as the next one, of {place}, were left out");
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tracing_subscriber::layer::SubscriberExt as _;

    /// Counts what passes.
    #[derive(Clone, Default)]
    struct Count(Arc<AtomicU32>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn of_one_failure_only_so_many_lines_are_logged_and_of_others_all() {
        let count = Count::default();
        let log = tracing_subscriber::registry().with(count.clone()).with(RepeatLimit::default());
        tracing::subscriber::with_default(log, || {
            for number in 0..100 {
                tracing::warn!("NATS is away, {number}");
            }
        });
        assert_eq!(count.0.swap(0, Ordering::Relaxed), MOST);
        let log = tracing_subscriber::registry().with(count.clone()).with(RepeatLimit::default());
        tracing::subscriber::with_default(log, || {
            for number in 0..100 {
                tracing::warn!(target: "kurir_webhook_dispatcher::delivery::webhook", "Webhook attempt {number} failed");
                tracing::info!("a request");
            }
        });
        assert_eq!(count.0.load(Ordering::Relaxed), 200);
    }

    #[test]
    fn a_new_minute_begins_anew_and_knows_what_was_left_out() {
        let (limit, begun) = (RepeatLimit::default(), Instant::now());
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let span = tracing::warn_span!("a place");
            let place = span.metadata().expect("it is enabled").callsite();
            let passed = (0..100).filter(|_| limit.admit(place.clone(), begun).0).count();
            assert_eq!(passed, 10);
            assert_eq!(limit.admit(place.clone(), begun + WINDOW), (true, 90));
            assert_eq!(limit.admit(place, begun + WINDOW), (true, 0));
        });
    }
}

//! How many requests of each key are let through: as many as its limit at once, and as many again in a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The requests of late, by the id of their key.
#[derive(Default)]
pub struct KeyRates(Mutex<HashMap<String, Instant>>);

impl KeyRates {
    /// Counts a request. The time to wait if there were too many.
    pub fn count(&self, key_id: &str, per_minute: u32, now: Instant) -> Option<Duration> {
        let each = MINUTE.checked_div(per_minute)?;
        let mut paid_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Keys whose requests are long past have their whole limit again.
        paid_until.retain(|_, until| *until > now);
        let until = paid_until.get(key_id).copied().unwrap_or(now).max(now) + each;
        let wait = until.saturating_duration_since(now + MINUTE);
        if wait.is_zero() {
            paid_until.insert(key_id.to_owned(), until);
            return None;
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_beyond_its_limit_waits_and_no_other_does() {
        let (rates, now) = (KeyRates::default(), Instant::now());
        assert!((0..10).all(|_| rates.count("a", 10, now).is_none()));
        assert_eq!(rates.count("a", 10, now), Some(Duration::from_secs(6)));
        assert_eq!(rates.count("b", 10, now), None);
        assert_eq!(rates.count("a", 10, now + Duration::from_secs(6)), None);
    }
}

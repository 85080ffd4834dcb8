//! How many attempts the holder starts, how many messages it requests, and how long it waits.

use super::{ChatOrderHolder, TICK};
use crate::endpoints::{health_change::HealthChange, ordered::ordered_endpoint::EndpointLimits};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// Beyond this number the endpoint takes no more: events that wait in EVENTS cost no memory. The parked ones cost 20
/// MB.
const MAX_PARKED: usize = 100_000;
/// Unfinished steps. Beyond this number no delivery starts.
const MAX_STEPS: usize = 256;
/// A holder that is stopped goes on delivering what it has in memory for this long: events that were delivered behind
/// one that was not come again at the next holder.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
/// The loop pauses at least this long for the rate limit.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// The pause while there is nothing to deliver. The hold is renewed every second.
const IDLE_TICK: Duration = Duration::from_millis(500);

impl ChatOrderHolder {
    /// Starts all attempts that can start now, and requests more messages.
    pub(super) async fn start_attempts(
        &mut self,
        limits: &mut EndpointLimits,
        health_changes: &mpsc::Sender<HealthChange>,
    ) {
        let now = Instant::now();
        while self.may_start(limits)
            && let Some(turn) = self.chats.next_turn(self.clock.now())
        {
            let probe = limits.breaker.try_send(now).unwrap_or_default();
            // `may_start` has seen that both have room.
            limits.rate.iter_mut().for_each(|rate| {
                rate.reserve(1, now);
            });
            limits.pace.reserve(now);
            if probe {
                let _ = health_changes.try_send(HealthChange::Probing { endpoint: self.current.endpoint.id.clone() });
            }
            self.start_attempt(turn, probe);
        }
        self.current.deliverer.metrics().set_circuit(limits.breaker.state());
        let is_open = self.stopping.is_none() && !self.receiver_gone && self.chats.stored_count() < MAX_PARKED;
        let is_open = is_open && !limits.pace.is_paused(now);
        let room = if is_open { self.chats.room().min(limits.breaker.allowance(now)) } else { 0 };
        let room = if self.pin.is_some() { room } else { room.min(1) };
        self.pull.request_or_renew(room, self.pin.as_deref()).await;
    }

    pub(super) fn has_finished(&self) -> bool {
        let no_more = |since: Instant| since.elapsed() > FINISH_TIMEOUT || !self.chats.has_unstored();
        self.stopping.is_some_and(no_more) && self.attempts.is_empty() && self.steps.is_empty()
    }

    fn may_start(&self, limits: &mut EndpointLimits) -> bool {
        let now = Instant::now();
        !self.stopping.is_some_and(|since| since.elapsed() > FINISH_TIMEOUT || !self.chats.has_unstored())
            && !self.receiver_gone
            && self.attempts.len() < limits.concurrency.window()
            && self.steps.len() < MAX_STEPS
            && self.pull.is_fresh()
            && limits.breaker.allowance(now) > 0
            && limits.pace.available(now) > 0
            // No other dispatcher shares this limit.
            && limits.rate.as_ref().is_none_or(|rate| rate.wait(1, now).is_zero())
    }

    /// The time until something may be due.
    pub(super) fn time_to_next(&self, limits: &mut EndpointLimits) -> Duration {
        match self.chats.next_due() {
            Some(due) if self.may_start(limits) => {
                Duration::try_from(due - self.clock.now()).unwrap_or_default().min(TICK)
            }
            // The rate limit may allow the next one sooner.
            Some(_) => {
                let wait = limits.rate.as_ref().map_or(TICK, |rate| rate.wait(1, Instant::now()));
                wait.clamp(MIN_PAUSE, TICK)
            }
            None if self.attempts.is_empty() => IDLE_TICK,
            None => TICK,
        }
    }
}

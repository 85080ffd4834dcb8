//! Limits how fast a session writes: a gap with jitter between two messages, because WhatsApp bans numbers that write
//! like a machine.
//!
//! Waiting sends stand in one of two queues. Direct sends go before jobs, but every fourth turn is for a job. The first
//! message after a pause never waits.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The queue in which a send waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendPriority {
    /// A caller waits for the answer.
    Direct,
    Job,
}

/// Gives the turns to write of one session.
pub struct SendPacer {
    gap: Duration,
    jitter: Duration,
    line: Mutex<PacerQueue>,
    moved: Notify,
}

/// Direct sends in a row while a job waits.
const DIRECT_IN_A_ROW: u32 = 3;

/// The waiting sends, by ticket. Pure.
#[derive(Debug, Default)]
struct PacerQueue {
    direct: VecDeque<u64>,
    jobs: VecDeque<u64>,
    tickets: u64,
    /// Direct turns since the last turn of a job.
    direct_in_a_row: u32,
    /// No message may be sent before this time. None before the first message.
    opens: Option<Instant>,
}

/// A place in the queue, given up when it is dropped.
struct QueuePlace<'a> {
    pacer: &'a SendPacer,
    ticket: u64,
}

impl SendPacer {
    /// With a gap of zero no send waits.
    #[must_use]
    pub fn new(gap: Duration, jitter: Duration) -> Self {
        Self { gap, jitter, line: Mutex::default(), moved: Notify::new() }
    }

    /// Waits for the turn to write one message.
    pub async fn wait_for_turn(&self, class: SendPriority) {
        if self.gap.is_zero() {
            return;
        }
        let ticket = self.queue().join(class);
        let _place = QueuePlace { pacer: self, ticket };
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            let opens = {
                let mut line = self.queue();
                if line.next_ticket() == Some(ticket) {
                    match line.opens.filter(|opens| *opens > Instant::now()) {
                        Some(opens) => Some(opens),
                        None => {
                            line.take_turn(Instant::now() + self.next_gap());
                            return;
                        }
                    }
                } else {
                    None
                }
            };
            match opens {
                Some(opens) => {
                    tokio::select! {
                        () = moved => {}
                        () = sleep_until(opens) => {}
                    }
                }
                None => moved.await,
            }
        }
    }

    /// Roughly how long a direct message would wait from now.
    #[must_use]
    pub fn expected_wait(&self) -> Duration {
        let line = self.queue();
        let direct = u32::try_from(line.direct.len()).unwrap_or(u32::MAX);
        let jobs = if line.jobs.is_empty() { 0 } else { direct / DIRECT_IN_A_ROW };
        let opens = line.opens.map_or(Duration::ZERO, |opens| opens.saturating_duration_since(Instant::now()));
        (self.gap + self.jitter / 2).saturating_mul(direct.saturating_add(jobs)).saturating_add(opens)
    }

    fn next_gap(&self) -> Duration {
        self.gap + self.jitter.mul_f64(rand::random_range(0.0..=1.0))
    }

    fn queue(&self) -> MutexGuard<'_, PacerQueue> {
        // Each change leaves the queue whole.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.pacer.queue().leave(self.ticket);
        self.pacer.moved.notify_waiters();
    }
}

impl PacerQueue {
    fn join(&mut self, class: SendPriority) -> u64 {
        self.tickets += 1;
        match class {
            SendPriority::Direct => self.direct.push_back(self.tickets),
            SendPriority::Job => self.jobs.push_back(self.tickets),
        }
        self.tickets
    }

    fn next_ticket(&self) -> Option<u64> {
        match (self.direct.front(), self.jobs.front()) {
            (Some(_), Some(job)) if self.direct_in_a_row >= DIRECT_IN_A_ROW => Some(*job),
            (Some(first), _) | (None, Some(first)) => Some(*first),
            (None, None) => None,
        }
    }

    /// Gives the first ticket its turn. The next turn is at `opens` or later.
    fn take_turn(&mut self, opens: Instant) {
        let first = self.next_ticket();
        self.direct_in_a_row = if first == self.direct.front().copied() { self.direct_in_a_row + 1 } else { 0 };
        if let Some(first) = first {
            self.leave(first);
        }
        self.opens = Some(opens);
    }

    fn leave(&mut self, ticket: u64) {
        self.direct.retain(|other| *other != ticket);
        self.jobs.retain(|other| *other != ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::sync::Arc;
    use tokio::{sync::mpsc, task::JoinSet};

    const GAP: Duration = Duration::from_millis(500);

    fn pacer(jitter: Duration) -> Arc<SendPacer> {
        Arc::new(SendPacer::new(GAP, jitter))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_the_others_a_gap_apart() {
        let pacer = pacer(Duration::ZERO);
        let begun = Instant::now();
        pacer.wait_for_turn(SendPriority::Direct).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for n in 1..=5 {
            pacer.wait_for_turn(SendPriority::Direct).await;
            // The timer wakes up to a millisecond late, each time.
            let late = begun.elapsed().checked_sub(GAP * n).expect("not too early");
            assert!(late <= Duration::from_millis(10), "{late:?}");
        }
        tokio::time::sleep(GAP * 3).await;
        let after_a_pause = Instant::now();
        pacer.wait_for_turn(SendPriority::Direct).await;
        assert_eq!(after_a_pause.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_only_adds() {
        let pacer = pacer(GAP);
        pacer.wait_for_turn(SendPriority::Direct).await;
        for _ in 0..50 {
            let begun = Instant::now();
            pacer.wait_for_turn(SendPriority::Direct).await;
            // The timer wakes up to a millisecond late.
            let took = begun.elapsed();
            assert!(took + Duration::from_millis(2) >= GAP && took <= GAP * 2 + Duration::from_millis(2), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn direct_messages_go_first_and_every_fourth_turn_is_a_jobs() {
        let pacer = pacer(Duration::ZERO);
        pacer.wait_for_turn(SendPriority::Job).await;
        let (order, mut seen) = mpsc::unbounded_channel();
        let mut waiting = JoinSet::new();
        for class in [[SendPriority::Job; 3].as_slice(), [SendPriority::Direct; 8].as_slice()].concat() {
            let (pacer, order) = (Arc::clone(&pacer), order.clone());
            waiting.spawn(async move {
                pacer.wait_for_turn(class).await;
                order.send(class).expect("somebody listens");
            });
        }
        drop(order);
        waiting.join_all().await;
        let mut classes = String::new();
        while let Some(class) = seen.recv().await {
            classes.push(if class == SendPriority::Job { 'j' } else { 'd' });
        }
        assert_eq!(classes, "dddjdddjddj");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_holds_up_nobody() {
        let pacer = pacer(Duration::ZERO);
        pacer.wait_for_turn(SendPriority::Direct).await;
        let mut gone = Box::pin(pacer.wait_for_turn(SendPriority::Direct));
        assert_eq!((&mut gone).now_or_never(), None);
        assert!(pacer.expected_wait() > GAP);
        drop(gone);
        let begun = Instant::now();
        pacer.wait_for_turn(SendPriority::Job).await;
        assert!(begun.elapsed() <= GAP + Duration::from_millis(2), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_gap_nobody_waits() {
        let pacer = SendPacer::new(Duration::ZERO, GAP);
        let begun = Instant::now();
        for _ in 0..1000 {
            pacer.wait_for_turn(SendPriority::Direct).await;
        }
        assert_eq!((begun.elapsed(), pacer.expected_wait()), (Duration::ZERO, Duration::ZERO));
    }
}

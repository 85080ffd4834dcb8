//! The slots of downloads, shared out fairly.
//!
//! Small files, large files, and files whose event was published without them have lanes of their own, so that none of
//! these waits for another. In a lane a person has a share, and of those who wait, the one with the fewest downloads under
//! way is next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A file that takes longer than this is large: a voice note of ten minutes is small, a photo mostly.
const SMALL: u64 = 1_000_000;
/// The part of a lane that one person may have.
const SHARE: usize = 2;

/// A kind of download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Small,
    Large,
    /// The file's event was published without it: nobody waits.
    Late,
}

impl Lane {
    /// The lane of a file for which a message waits; none says how long it is if it is unknown.
    #[must_use]
    pub fn of_length(length: Option<u64>) -> Self {
        if length.is_some_and(|length| length <= SMALL) { Self::Small } else { Self::Large }
    }

    /// Downloads at the same time. Each has a thread; a large one has up to MEDIA_MAX_SIZE on the session's disk.
    const fn slots(self) -> usize {
        match self {
            Self::Small => 8,
            Self::Large | Self::Late => 4,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Small => 0,
            Self::Large => 1,
            Self::Late => 2,
        }
    }
}

/// The lanes. Clones share them.
#[derive(Clone, Default)]
pub struct DownloadLanes(Arc<Mutex<[LaneState; 3]>>);

#[derive(Default)]
struct LaneState {
    /// Whose downloads are under way.
    active: Vec<String>,
    /// Oldest first.
    waiting: Vec<(String, oneshot::Sender<()>)>,
}

/// A slot. Dropping it gives it back.
pub struct DownloadSlot(SlotWatch);

/// Tells whether others wait for a slot, in whichever lane it is now. Clones share it.
#[derive(Clone)]
pub struct SlotWatch {
    lanes: DownloadLanes,
    lane: Arc<Mutex<Lane>>,
    sender: String,
}

impl DownloadLanes {
    /// Waits for a slot.
    pub async fn acquire(&self, lane: Lane, sender: &str) -> DownloadSlot {
        loop {
            let granted = {
                let mut lanes = self.lock();
                let state = &mut lanes[lane.index()];
                if state.waiting.is_empty() && state.has_room(lane, sender) {
                    state.active.push(sender.to_owned());
                    None
                } else {
                    let (grant, granted) = oneshot::channel();
                    state.waiting.push((sender.to_owned(), grant));
                    // A person whose share is used up does not hold back those behind.
                    state.grant(lane);
                    Some(granted)
                }
            };
            match granted {
                None => break,
                Some(granted) => {
                    let mut waiting = WaitingForSlot { lanes: self, lane, sender, granted, is_over: false };
                    let is_granted = (&mut waiting.granted).await.is_ok();
                    waiting.is_over = true;
                    if is_granted {
                        break;
                    }
                }
            }
        }
        let lane = Arc::new(Mutex::new(lane));
        DownloadSlot(SlotWatch { lanes: self.clone(), lane, sender: sender.to_owned() })
    }

    fn release(&self, lane: Lane, sender: &str) {
        let mut lanes = self.lock();
        let state = &mut lanes[lane.index()];
        if let Some(place) = state.active.iter().position(|active| active == sender) {
            state.active.swap_remove(place);
        }
        state.grant(lane);
    }

    fn lock(&self) -> MutexGuard<'_, [LaneState; 3]> {
        // Each change left the lanes whole, also if a panic followed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneState {
    fn has_room(&self, lane: Lane, sender: &str) -> bool {
        self.active.len() < lane.slots() && self.count(sender) < SHARE
    }

    fn count(&self, sender: &str) -> usize {
        self.active.iter().filter(|active| *active == sender).count()
    }

    /// Gives the free slots to those who wait.
    fn grant(&mut self, lane: Lane) {
        self.waiting.retain(|(_, grant)| !grant.is_closed());
        loop {
            let next = (0..self.waiting.len())
                .filter(|place| self.has_room(lane, &self.waiting[*place].0))
                .min_by_key(|place| (self.count(&self.waiting[*place].0), *place));
            let Some(place) = next else { return };
            let (sender, grant) = self.waiting.remove(place);
            if grant.send(()).is_ok() {
                self.active.push(sender);
            }
        }
    }
}

/// Gives a slot back that was granted while its download was given up.
struct WaitingForSlot<'a> {
    lanes: &'a DownloadLanes,
    lane: Lane,
    sender: &'a str,
    granted: oneshot::Receiver<()>,
    is_over: bool,
}

impl Drop for WaitingForSlot<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.granted.close();
            if self.granted.try_recv().is_ok() {
                self.lanes.release(self.lane, self.sender);
            }
        }
    }
}

impl SlotWatch {
    /// Whether somebody else waits for a slot of the lane.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let lane = *self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = self.lanes.lock();
        lanes[lane.index()].waiting.iter().any(|(sender, grant)| !grant.is_closed() && *sender != self.sender)
    }
}

impl DownloadSlot {
    #[must_use]
    pub fn watch(&self) -> SlotWatch {
        self.0.clone()
    }

    /// Frees the slot for those for whom a message waits, if there is room among the late ones.
    pub fn make_late(&self) {
        let SlotWatch { lanes, lane, sender } = &self.0;
        let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
        if *lane == Lane::Late {
            return;
        }
        {
            let mut lanes = lanes.lock();
            let late = &mut lanes[Lane::Late.index()];
            if !late.has_room(Lane::Late, sender) {
                return;
            }
            late.active.push(sender.clone());
        }
        lanes.release(*lane, sender);
        *lane = Lane::Late;
    }
}

impl Drop for DownloadSlot {
    fn drop(&mut self) {
        let SlotWatch { lanes, lane, sender } = &self.0;
        lanes.release(*lane.lock().unwrap_or_else(PoisonError::into_inner), sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::pin;

    #[tokio::test]
    async fn a_person_has_a_share_and_others_go_on() {
        let lanes = DownloadLanes::default();
        let mut of_one = Vec::new();
        for _ in 0..SHARE {
            of_one.push(lanes.acquire(Lane::Large, "one").await);
        }
        let mut third = pin!(lanes.acquire(Lane::Large, "one"));
        assert!(third.as_mut().now_or_never().is_none(), "the share is used up");
        let others = [lanes.acquire(Lane::Large, "two").await, lanes.acquire(Lane::Large, "three").await];
        let mut fourth = pin!(lanes.acquire(Lane::Large, "four"));
        assert!(fourth.as_mut().now_or_never().is_none(), "the lane is full");
        assert!(others[0].watch().is_wanted());
        // Who has the fewest is next, though another one waits longer.
        of_one.pop();
        let of_four = fourth.as_mut().now_or_never();
        assert!(of_four.is_some());
        assert!(third.as_mut().now_or_never().is_none());
        drop(others);
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_lane_does_not_wait_for_another_and_what_is_late_makes_room() {
        let lanes = DownloadLanes::default();
        let mut large = Vec::new();
        for person in ["one", "two", "three", "four"] {
            large.push(lanes.acquire(Lane::Large, person).await);
        }
        assert!(lanes.acquire(Lane::Small, "five").now_or_never().is_some(), "another lane");
        let mut fifth = pin!(lanes.acquire(Lane::Large, "five"));
        assert!(fifth.as_mut().now_or_never().is_none());
        large[0].make_late();
        assert!(fifth.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_slot() {
        let lanes = DownloadLanes::default();
        let mut slots = Vec::new();
        for n in 0..Lane::Late.slots() {
            slots.push(lanes.acquire(Lane::Late, &n.to_string()).await);
        }
        {
            let mut given_up = pin!(lanes.acquire(Lane::Late, "gone"));
            assert!(given_up.as_mut().now_or_never().is_none());
            slots.pop();
        }
        assert!(lanes.acquire(Lane::Late, "next").now_or_never().is_some());
    }
}

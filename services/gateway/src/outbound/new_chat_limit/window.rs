//! Counts the new chats of the last day, in windows that start with their first chat. Pure.

use kurir_contract::clock;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use time::OffsetDateTime;

/// The window as the bucket holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewChatWindow {
    /// ISO 8601. None: no chat was counted yet.
    since: Option<String>,
    count: u32,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl NewChatWindow {
    /// The window with one more chat; or, as the error, the time at which there is room again.
    pub fn count_chat(&self, cap: u32, now: OffsetDateTime) -> Result<Self, OffsetDateTime> {
        if cap == 0 {
            return Ok(self.clone());
        }
        let since = self.since.as_deref().and_then(clock::parse);
        // If the clock was set back, the window starts over.
        match since.filter(|since| *since <= now && now < *since + DAY) {
            None => Ok(Self { since: Some(clock::iso(now)), count: 1 }),
            Some(_) if self.count < cap => Ok(Self { since: self.since.clone(), count: self.count + 1 }),
            Some(since) => Err(since + DAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_window_has_room_for_so_many_and_then_a_day_later() {
        let begun = datetime!(2026-11-24 12:00 UTC);
        let mut window = NewChatWindow::default();
        for n in 0..3 {
            window = window.count_chat(3, begun + Duration::from_secs(n)).expect("room");
        }
        let next = datetime!(2026-11-25 12:00 UTC);
        assert_eq!(window.count_chat(3, begun + Duration::from_secs(3)), Err(next));
        assert_eq!(window.count_chat(3, next - Duration::from_secs(1)), Err(next));
        let fresh = window.count_chat(3, next).expect("room again");
        assert_eq!((fresh.count, fresh.since.as_deref()), (1, Some("2026-11-25T12:00:00.000Z")));
        assert_eq!(window.count_chat(0, begun), Ok(window.clone()), "no cap");
        assert_eq!(window.count_chat(3, begun - Duration::from_secs(60)).map(|window| window.count), Ok(1));
    }
}

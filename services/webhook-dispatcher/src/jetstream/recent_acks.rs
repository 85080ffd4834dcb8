//! What was settled lately.
//!
//! A broker that is killed right after it took acknowledgements has forgotten thousands of them and gives the events
//! back. Whoever settled them here remembers, and acknowledges again without a second delivery. It also knows what is
//! in delivery at this moment, so that the same event never is twice.

use crate::jetstream::consumer::SlotId;

/// Slots: the broker writes its consumers' state several times a second, so half a second's worth at 30,000 a second.
/// 40 bytes each, for all endpoints together: with many of them it remembers a shorter time, which costs repeats after
/// such a kill and nothing else.
const SLOTS: usize = 16_384;

/// Which message of a stream. A stream that was deleted and made again counts from 1 again, so the number alone would
/// take a new message for one that was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePosition {
    /// Whose: several endpoints have the same message.
    pub slot: SlotId,
    pub sequence: u64,
    /// When the stream stored it, nanoseconds since 1970.
    pub stored_at: i64,
}

/// A table by sequence; of two messages that meet in one slot the later stays.
#[derive(Debug)]
pub struct RecentAcks(Vec<Option<(MessagePosition, AckState)>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AckState {
    InDelivery,
    Settled,
}

/// What to do with a message that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Deliver,
    /// Its acknowledgement was lost: it is sent again.
    AcknowledgeAgain,
    /// The delivery that is under way will settle it.
    Ignore,
}

impl Default for RecentAcks {
    fn default() -> Self {
        Self(vec![None; SLOTS])
    }
}

impl RecentAcks {
    pub fn take(&mut self, position: MessagePosition) -> Claim {
        let entry = self.entry(position);
        match *entry {
            Some((known, AckState::Settled)) if known == position => Claim::AcknowledgeAgain,
            Some((known, AckState::InDelivery)) if known == position => Claim::Ignore,
            _ => {
                *entry = Some((position, AckState::InDelivery));
                Claim::Deliver
            }
        }
    }

    pub fn settle(&mut self, position: MessagePosition) {
        *self.entry(position) = Some((position, AckState::Settled));
    }

    /// It was given back: whoever gets it next delivers it.
    pub fn forget(&mut self, position: MessagePosition) {
        let entry = self.entry(position);
        if entry.is_some_and(|(known, _)| known == position) {
            *entry = None;
        }
    }

    fn entry(&mut self, position: MessagePosition) -> &mut Option<(MessagePosition, AckState)> {
        // An odd factor spreads endpoints that have the same events.
        &mut self.0[position.sequence.wrapping_add(position.slot.wrapping_mul(7_919)) as usize % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: MessagePosition = MessagePosition { slot: 0, sequence: 7, stored_at: 1_000 };

    #[test]
    fn a_message_is_delivered_once_and_acknowledged_again() {
        let mut settled = RecentAcks::default();
        assert_eq!(settled.take(FIRST), Claim::Deliver);
        assert_eq!(settled.take(FIRST), Claim::Ignore);
        settled.settle(FIRST);
        assert_eq!(settled.take(FIRST), Claim::AcknowledgeAgain);
    }

    #[test]
    fn what_was_given_back_is_delivered_when_it_comes_again() {
        let mut settled = RecentAcks::default();
        settled.take(FIRST);
        settled.forget(FIRST);
        assert_eq!(settled.take(FIRST), Claim::Deliver);
    }

    #[test]
    fn a_stream_that_was_made_again_is_not_taken_for_the_old_one() {
        let mut settled = RecentAcks::default();
        settled.take(FIRST);
        settled.settle(FIRST);
        assert_eq!(settled.take(MessagePosition { stored_at: 2_000, ..FIRST }), Claim::Deliver);
    }

    #[test]
    fn one_message_of_two_endpoints_is_two() {
        let mut settled = RecentAcks::default();
        settled.take(FIRST);
        assert_eq!(settled.take(MessagePosition { slot: 1, ..FIRST }), Claim::Deliver);
    }

    #[test]
    fn of_two_messages_in_one_slot_the_earlier_is_forgotten_not_confused() {
        let mut settled = RecentAcks::default();
        let later = MessagePosition { sequence: FIRST.sequence + SLOTS as u64, stored_at: 3_000, ..FIRST };
        settled.take(FIRST);
        assert_eq!(settled.take(later), Claim::Deliver);
        settled.forget(FIRST);
        assert_eq!(settled.take(later), Claim::Ignore);
    }
}

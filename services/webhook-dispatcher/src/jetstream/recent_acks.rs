//! Remembers what was settled lately.
//!
//! A NATS server that is killed right after it took acknowledgements has forgotten thousands of them, and hands the
//! events out again. The dispatcher that settled them remembers, and acknowledges again without a second delivery. It
//! also knows what is in delivery, so that no event is delivered twice at once.

use crate::jetstream::consumer::SlotId;

/// Entries in the table. NATS writes its consumers' state several times a second; this is half a second at 30,000 a
/// second. An entry takes 40 bytes. All endpoints share the table: many endpoints shorten the time, which costs repeats
/// after such a kill and nothing else.
const SLOTS: usize = 16_384;

/// Identifies a message of a stream. A stream that was deleted and made again counts from 1 again, so the sequence
/// alone would confuse a new message with a settled one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePosition {
    /// The endpoint's slot: several endpoints receive the same message.
    pub slot: SlotId,
    pub sequence: u64,
    /// When the stream stored the message, in nanoseconds since 1970.
    pub stored_at: i64,
}

/// A table by sequence. Of two messages with the same entry the later one stays.
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
    /// The acknowledgement was lost and is sent again.
    AcknowledgeAgain,
    /// The delivery that is under way will settle the message.
    Ignore,
}

impl Default for RecentAcks {
    fn default() -> Self {
        Self(vec![None; SLOTS])
    }
}

impl RecentAcks {
    pub fn claim(&mut self, position: MessagePosition) -> Claim {
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

    pub fn record(&mut self, position: MessagePosition) {
        *self.entry(position) = Some((position, AckState::Settled));
    }

    /// Forgets a message that was given back: whichever dispatcher gets it next delivers it.
    pub fn release(&mut self, position: MessagePosition) {
        let entry = self.entry(position);
        if entry.is_some_and(|(known, _)| known == position) {
            *entry = None;
        }
    }

    fn entry(&mut self, position: MessagePosition) -> &mut Option<(MessagePosition, AckState)> {
        // An odd factor spreads endpoints that receive the same events.
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
        assert_eq!(settled.claim(FIRST), Claim::Deliver);
        assert_eq!(settled.claim(FIRST), Claim::Ignore);
        settled.record(FIRST);
        assert_eq!(settled.claim(FIRST), Claim::AcknowledgeAgain);
    }

    #[test]
    fn what_was_given_back_is_delivered_when_it_comes_again() {
        let mut settled = RecentAcks::default();
        settled.claim(FIRST);
        settled.release(FIRST);
        assert_eq!(settled.claim(FIRST), Claim::Deliver);
    }

    #[test]
    fn a_stream_that_was_made_again_is_not_taken_for_the_old_one() {
        let mut settled = RecentAcks::default();
        settled.claim(FIRST);
        settled.record(FIRST);
        assert_eq!(settled.claim(MessagePosition { stored_at: 2_000, ..FIRST }), Claim::Deliver);
    }

    #[test]
    fn one_message_of_two_endpoints_is_two() {
        let mut settled = RecentAcks::default();
        settled.claim(FIRST);
        assert_eq!(settled.claim(MessagePosition { slot: 1, ..FIRST }), Claim::Deliver);
    }

    #[test]
    fn of_two_messages_in_one_slot_the_earlier_is_forgotten_not_confused() {
        let mut settled = RecentAcks::default();
        let later = MessagePosition { sequence: FIRST.sequence + SLOTS as u64, stored_at: 3_000, ..FIRST };
        settled.claim(FIRST);
        assert_eq!(settled.claim(later), Claim::Deliver);
        settled.release(FIRST);
        assert_eq!(settled.claim(later), Claim::Ignore);
    }
}

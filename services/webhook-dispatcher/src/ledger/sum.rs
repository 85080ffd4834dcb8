//! Adds up where an endpoint's events are. Pure.
//!
//! Each event is counted in the first of these places that has it: delivered, in the dead letters, waiting in RETRIES,
//! filtered, given up (its dead letter was deleted since). Any other event must be at the endpoint's consumer: not
//! handed out yet, or handed out and not acknowledged. What is not there either is missing.

use crate::ledger::sequence_set::SequenceSet;

/// The events in each place, within the span.
#[derive(Clone, Debug)]
pub struct EventPlaces {
    pub delivered: SequenceSet,
    pub dead: SequenceSet,
    pub retried: SequenceSet,
    pub filtered: SequenceSet,
    /// Events whose last attempt failed, by the record.
    pub given_up: SequenceSet,
}

/// The endpoint's consumer, read before the places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerPosition {
    /// All events up to this sequence are acknowledged.
    pub settled_to: u64,
    /// All events up to this sequence were handed out.
    pub taken_to: u64,
    /// How many between the two are not acknowledged.
    pub in_delivery: u64,
}

/// How many events of the span match the endpoint, as NATS counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedCounts {
    pub all: u64,
    pub settled: u64,
    pub taken: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerSum {
    pub delivered: u64,
    pub waiting: u64,
    pub dead: u64,
    pub filtered: u64,
    pub missing: i64,
}

impl LedgerSum {
    #[must_use]
    pub fn from_places(places: &EventPlaces, position: ConsumerPosition, matched: MatchedCounts) -> Self {
        let mut known = places.delivered.clone();
        let mut next = |place: &SequenceSet| {
            let mut only_here = place.clone();
            only_here.remove(&known);
            known.add(place);
            only_here.count()
        };
        let (dead, retried, filtered, given_up) =
            (next(&places.dead), next(&places.retried), next(&places.filtered), next(&places.given_up));
        let (delivered, dead) = (places.delivered.count(), dead + given_up);

        let known_to = |sequence| known.count_to(sequence);
        let (settled, taken) = (known_to(position.settled_to), known_to(position.taken_to));
        // An event that was settled after the position was read is known by now. So these are at most as many as the
        // position says.
        let handed_out = matched.taken.saturating_sub(matched.settled).saturating_sub(taken.saturating_sub(settled));
        let not_taken = matched.all.saturating_sub(matched.taken).saturating_sub(known.count().saturating_sub(taken));
        let waiting = retried + handed_out.min(position.in_delivery) + not_taken;
        let found = delivered + dead + filtered + waiting;
        let missing = i64::try_from(matched.all).unwrap_or(i64::MAX) - i64::try_from(found).unwrap_or(i64::MAX);
        Self { delivered, waiting, dead, filtered, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::RangeInclusive;

    const RANGE: RangeInclusive<u64> = 1..=20;

    fn places(places: [&[u64]; 5]) -> EventPlaces {
        let [delivered, dead, retried, filtered, given_up] = places.map(|place| {
            let mut set = SequenceSet::for_range(&RANGE);
            place.iter().for_each(|sequence| set.insert(*sequence));
            set
        });
        EventPlaces { delivered, dead, retried, filtered, given_up }
    }

    /// All 20 events match the endpoint.
    fn matched(position: ConsumerPosition) -> MatchedCounts {
        MatchedCounts { all: 20, settled: position.settled_to, taken: position.taken_to }
    }

    #[test]
    fn each_event_is_counted_in_one_place() {
        let all_settled = ConsumerPosition { settled_to: 20, taken_to: 20, in_delivery: 0 };
        let odd: Vec<u64> = (1..=20).collect();
        for (name, filled, position, expected) in [
            ("all delivered", [&odd[..], &[], &[], &[], &[]], all_settled, (20, 0, 0, 0, 0)),
            ("one in each", [&odd[..16], &[17], &[18], &[19], &[20]], all_settled, (16, 1, 2, 1, 0)),
            ("a letter that was replayed", [&odd[..], &[3], &[3], &[], &[3]], all_settled, (20, 0, 0, 0, 0)),
            ("a letter in a replay", [&odd[1..], &[1], &[1], &[], &[1]], all_settled, (19, 0, 1, 0, 0)),
            ("a probe at its last attempt", [&odd[1..], &[], &[1], &[], &[1]], all_settled, (19, 1, 0, 0, 0)),
            ("nothing begun", [&[], &[], &[], &[], &[]], ConsumerPosition::default(), (0, 20, 0, 0, 0)),
            ("one lost", [&odd[1..], &[], &[], &[], &[]], all_settled, (19, 0, 0, 0, 1)),
            (
                "in delivery, one settled since",
                [&odd[..11], &[], &[], &[], &[]],
                ConsumerPosition { settled_to: 10, taken_to: 14, in_delivery: 4 },
                (11, 9, 0, 0, 0),
            ),
            (
                "acknowledged out of turn and in no place",
                [&odd[..10], &[], &[], &[], &[]],
                ConsumerPosition { settled_to: 10, taken_to: 14, in_delivery: 3 },
                (10, 9, 0, 0, 1),
            ),
        ] {
            let LedgerSum { delivered, waiting, dead, filtered, missing } =
                LedgerSum::from_places(&places(filled), position, matched(position));
            assert_eq!((delivered, waiting, dead, filtered, missing), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_lost_below_the_floor_is_always_missing(
            lost in 1_u64..=10, delivered in prop::collection::vec(1_u64..=20, 0..20), in_delivery in 0_u64..=20,
        ) {
            let mut delivered: Vec<u64> = (1..=10).chain(delivered).collect();
            delivered.retain(|sequence| *sequence != lost);
            let position = ConsumerPosition { settled_to: 10, taken_to: 15, in_delivery };
            let sum = LedgerSum::from_places(&places([&delivered, &[], &[], &[], &[]]), position, matched(position));
            prop_assert!(sum.missing >= 1, "{:?}", sum);
        }

        #[test]
        fn it_always_adds_up(
            delivered in prop::collection::vec(0_u64..30, 0..30), retried in prop::collection::vec(0_u64..30, 0..9),
            dead in prop::collection::vec(0_u64..30, 0..9), filtered in prop::collection::vec(0_u64..30, 0..9),
            settled_to in 0_u64..=20, more in 0_u64..9, in_delivery in 0_u64..9,
        ) {
            let position = ConsumerPosition { settled_to, taken_to: (settled_to + more).min(20), in_delivery };
            let sum = LedgerSum::from_places(&places([&delivered, &dead, &retried, &filtered, &[]]), position, matched(position));
            let found = (sum.delivered + sum.waiting + sum.dead + sum.filtered) as i64;
            prop_assert_eq!(found + sum.missing, 20);
            prop_assert!(sum.missing >= 0, "every sequence of this span is the endpoint's: {:?}", sum);
        }
    }
}

//! Adds up where an endpoint's events are. Pure.
//!
//! Each event is counted in one place, the first of these that has it: delivered, in the dead letters, waiting in
//! RETRIES, filtered, given up (its letter was deleted since). What no place has must be with the endpoint's consumer:
//! behind what it has handed out, or handed out and not acknowledged. What is not even there is missing.

use crate::ledger::sequence_set::SequenceSet;

/// What the places hold, each within the span.
#[derive(Clone, Debug)]
pub struct EventPlaces {
    pub delivered: SequenceSet,
    pub buried: SequenceSet,
    pub retried: SequenceSet,
    pub filtered: SequenceSet,
    /// By the record: its last attempt was made and failed.
    pub given_up: SequenceSet,
}

/// The endpoint's consumer, as it was before the places were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerPosition {
    /// All up to this sequence are acknowledged.
    pub settled_to: u64,
    /// All up to this one were handed out.
    pub taken_to: u64,
    /// Of those between the two: not acknowledged.
    pub in_delivery: u64,
}

/// How many events of the span are the endpoint's, as EVENTS counts them.
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
    pub fn of(places: &EventPlaces, position: ConsumerPosition, matched: MatchedCounts) -> Self {
        let mut known = places.delivered.clone();
        let mut next = |place: &SequenceSet| {
            let mut only_here = place.clone();
            only_here.remove(&known);
            known.add(place);
            only_here.count()
        };
        let (buried, retried, filtered, given_up) =
            (next(&places.buried), next(&places.retried), next(&places.filtered), next(&places.given_up));
        let (delivered, dead) = (places.delivered.count(), buried + given_up);

        let known_to = |sequence| known.count_to(sequence);
        let (settled, taken) = (known_to(position.settled_to), known_to(position.taken_to));
        // Settled while the places were looked at, it is known by now; so these are at most those of the position.
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
        let [delivered, buried, retried, filtered, given_up] = places.map(|place| {
            let mut set = SequenceSet::within(&RANGE);
            place.iter().for_each(|sequence| set.insert(*sequence));
            set
        });
        EventPlaces { delivered, buried, retried, filtered, given_up }
    }

    /// All 20 are the endpoint's.
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
                LedgerSum::of(&places(filled), position, matched(position));
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
            let sum = LedgerSum::of(&places([&delivered, &[], &[], &[], &[]]), position, matched(position));
            prop_assert!(sum.missing >= 1, "{:?}", sum);
        }

        #[test]
        fn it_always_adds_up(
            delivered in prop::collection::vec(0_u64..30, 0..30), retried in prop::collection::vec(0_u64..30, 0..9),
            buried in prop::collection::vec(0_u64..30, 0..9), filtered in prop::collection::vec(0_u64..30, 0..9),
            settled_to in 0_u64..=20, more in 0_u64..9, in_delivery in 0_u64..9,
        ) {
            let position = ConsumerPosition { settled_to, taken_to: (settled_to + more).min(20), in_delivery };
            let sum = LedgerSum::of(&places([&delivered, &buried, &retried, &filtered, &[]]), position, matched(position));
            let found = (sum.delivered + sum.waiting + sum.dead + sum.filtered) as i64;
            prop_assert_eq!(found + sum.missing, 20);
            prop_assert!(sum.missing >= 0, "every sequence of this span is the endpoint's: {:?}", sum);
        }
    }
}

//! A set of events by their sequences. Each possible event takes one bit, so a million events take 125 kB.

use std::ops::RangeInclusive;

#[derive(Clone, Debug)]
pub struct SequenceSet {
    first: u64,
    last: u64,
    words: Vec<u64>,
}

const WORD: u64 = 64;

impl SequenceSet {
    /// An empty set for the sequences in `range`; it ignores all others.
    #[must_use]
    pub fn for_range(range: &RangeInclusive<u64>) -> Self {
        let (first, last) = (*range.start(), *range.end());
        let bits = if range.is_empty() { 0 } else { last - first + 1 };
        Self { first, last, words: vec![0; bits.div_ceil(WORD) as usize] }
    }

    pub fn insert(&mut self, sequence: u64) {
        if sequence >= self.first && sequence <= self.last {
            let bit = sequence - self.first;
            if let Some(word) = self.words.get_mut((bit / WORD) as usize) {
                *word |= 1 << (bit % WORD);
            }
        }
    }

    /// `others` must have the same range.
    pub fn add(&mut self, others: &Self) {
        self.words.iter_mut().zip(&others.words).for_each(|(word, other)| *word |= other);
    }

    /// `others` must have the same range.
    pub fn remove(&mut self, others: &Self) {
        self.words.iter_mut().zip(&others.words).for_each(|(word, other)| *word &= !other);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many sequences are at most `sequence`.
    #[must_use]
    pub fn count_to(&self, sequence: u64) -> u64 {
        if sequence < self.first || self.first > self.last {
            return 0;
        }
        let bits = sequence.min(self.last) - self.first + 1;
        let (whole, rest) = ((bits / WORD) as usize, bits % WORD);
        let counted: u64 = self.words.iter().take(whole).map(|word| u64::from(word.count_ones())).sum();
        let last = self.words.get(whole).map_or(0, |word| u64::from((word & ((1 << rest) - 1)).count_ones()));
        counted + last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_empty_range_holds_nothing() {
        let mut none = SequenceSet::for_range(&RangeInclusive::new(5, 4));
        none.insert(5);
        assert_eq!((none.count(), none.count_to(9)), (0, 0));
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            first in 1_u64..200, length in 0_u64..300,
            one in prop::collection::vec(0_u64..600, 0..200), other in prop::collection::vec(0_u64..600, 0..200),
            to in 0_u64..600,
        ) {
            let range = first..=(first + length);
            let kept = |all: &[u64]| -> BTreeSet<u64> { all.iter().copied().filter(|one| range.contains(one)).collect() };
            let filled = |all: &[u64]| {
                let mut set = SequenceSet::for_range(&range);
                all.iter().for_each(|one| set.insert(*one));
                set
            };
            let (a, b) = (kept(&one), kept(&other));
            prop_assert_eq!(filled(&one).count(), a.len() as u64);
            prop_assert_eq!(filled(&one).count_to(to), a.iter().filter(|one| **one <= to).count() as u64);
            let mut union = filled(&one);
            union.add(&filled(&other));
            prop_assert_eq!(union.count(), a.union(&b).count() as u64);
            let mut rest = filled(&one);
            rest.remove(&filled(&other));
            prop_assert_eq!(rest.count(), a.difference(&b).count() as u64);
        }
    }
}

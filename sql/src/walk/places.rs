//! A set of numbers, each with its place among them.

/// How many numbers one word tells of.
const WORD_BITS: usize = u64::BITS as usize;

/// Numbers below a limit; the first of them has place 0.
#[derive(Debug)]
pub(crate) enum Places {
    /// All numbers below this.
    All(usize),
    /// These: a bit for each number, and how many there are before each word.
    Listed { words: Vec<u64>, before: Vec<u32> },
}

impl Places {
    /// Those of these numbers that are below a limit.
    pub(crate) fn of(limit: usize, numbers: impl Iterator<Item = u32>) -> Self {
        let mut words = vec![0_u64; limit.div_ceil(WORD_BITS)];
        for number in numbers.map(|number| number as usize).filter(|&number| number < limit) {
            words[number / WORD_BITS] |= 1 << (number % WORD_BITS);
        }
        let mut before = Vec::with_capacity(words.len());
        let mut count = 0;
        for word in &words {
            before.push(count);
            count += word.count_ones();
        }
        Self::Listed { words, before }
    }

    /// The place of a number, if it is in the set.
    #[inline]
    pub(crate) fn of_number(&self, number: usize) -> Option<usize> {
        match self {
            Self::All(limit) => (number < *limit).then_some(number),
            Self::Listed { words, before } => {
                let (word, bit) = (number / WORD_BITS, number % WORD_BITS);
                let bits = *words.get(word)?;
                let below = bits & ((1 << bit) - 1);
                let is_there = bits >> bit & 1 == 1;
                is_there.then(|| (before[word] + below.count_ones()) as usize)
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::All(limit) => *limit,
            Self::Listed { words, before } => match (words.last(), before.last()) {
                (Some(word), Some(before)) => (before + word.count_ones()) as usize,
                _ => 0,
            },
        }
    }

    /// The numbers, ascending.
    pub(crate) fn numbers(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::All(limit) => Box::new(0..*limit as u32),
            Self::Listed { words, .. } => {
                let of_word = |(place, &word): (usize, &u64)| {
                    let bits = (0..WORD_BITS).filter(move |bit| word >> bit & 1 == 1);
                    bits.map(move |bit| (place * WORD_BITS + bit) as u32)
                };
                let told = words.iter().enumerate().filter(|(_, word)| **word != 0);
                Box::new(told.flat_map(of_word))
            }
        }
    }

    /// How much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::All(_) => 0,
            Self::Listed { words, before } => {
                size_of_val(words.as_slice()) + size_of_val(before.as_slice())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        // If this fails, somebody gets the rows of another customer.
        #[test]
        fn the_place_of_a_number_is_how_many_are_before_it(
            numbers in prop::collection::btree_set(0..400_u32, 0..60),
            limit in 1..400_usize,
        ) {
            let places = Places::of(limit, numbers.iter().copied());
            let below = numbers.into_iter().filter(|&number| (number as usize) < limit);
            let below = below.collect::<BTreeSet<_>>();
            prop_assert_eq!(places.numbers().collect::<BTreeSet<_>>(), below.clone());
            prop_assert_eq!(places.len(), below.len());
            for number in 0..500_u32 {
                let place = below.contains(&number).then(|| below.range(..number).count());
                prop_assert_eq!(places.of_number(number as usize), place);
            }
        }
    }
}

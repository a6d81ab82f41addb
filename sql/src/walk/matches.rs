//! Which rows of two ascending columns of keys are equal.

/// Where the search for matches stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MatchCursor {
    /// The row of the right column.
    pub(super) right: usize,
    /// The first row of the left column whose key is not below that of the right row.
    first: usize,
    /// The next of the left rows with that key.
    next: usize,
}

/// Pairs of rows that have one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Matches {
    pub(super) left: Vec<u32>,
    pub(super) right: Vec<u32>,
}

impl Matches {
    /// Adds the pairs from `cursor` on, row by row of the right column, until there are `max` of them or
    /// the column ends; both are ascending.
    pub(super) fn find(
        &mut self,
        left: &[i64],
        right: &[i64],
        cursor: &mut MatchCursor,
        max: usize,
    ) {
        while let Some(&key) = right.get(cursor.right) {
            while left.get(cursor.first).is_some_and(|&other| other < key) {
                cursor.first += 1;
            }
            cursor.next = cursor.next.max(cursor.first);
            while left.get(cursor.next) == Some(&key) {
                if self.left.len() >= max {
                    return;
                }
                self.left.push(cursor.next as u32);
                self.right.push(cursor.right as u32);
                cursor.next += 1;
            }
            cursor.right += 1;
            cursor.next = cursor.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // If this fails, a join of customers loses rows, or makes them up.
        #[test]
        fn matches_are_those_of_all_pairs(
            mut left in prop::collection::vec(-3_i64..9, 0..20),
            mut right in prop::collection::vec(-3_i64..9, 0..20),
            max in 1_usize..9,
        ) {
            left.sort_unstable();
            right.sort_unstable();
            let all = (0..right.len()).flat_map(|r| (0..left.len()).map(move |l| (l, r)));
            let expected = all.filter(|&(l, r)| left[l] == right[r]).collect::<Vec<_>>();
            let (mut found, mut cursor) = (Vec::new(), MatchCursor::default());
            loop {
                let mut matches = Matches::default();
                matches.find(&left, &right, &mut cursor, max);
                prop_assert!(matches.left.len() <= max);
                let pairs = matches.left.iter().zip(&matches.right);
                found.extend(pairs.map(|(&l, &r)| (l as usize, r as usize)));
                if cursor.right == right.len() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}

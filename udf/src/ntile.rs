//! Parts of equal size in an order, as SQL's `NTILE` makes them, without sorting.
//!
//! Only the rows at the borders of the parts must stand where a sort would put them: selection
//! (Hoare 1961, "Algorithm 65: Find") does that in time in proportion to the rows, and to the
//! logarithm of the parts.

use std::cmp::Ordering;

/// Calls `put` with each row and its part, counted from 1; the larger parts come first.
///
/// `rows` is left in another order. Parts that get no row, of which there are some when there are
/// more parts than rows, are the last. `compare` must tell any two rows apart: of rows that it calls
/// equal any may come first.
///
/// ```
/// use habitue_udf::ntile::ntiles;
///
/// let mut part_of = [0; 5];
/// let mut rows = [(30, 0), (10, 1), (50, 2), (20, 3), (40, 4)];
/// ntiles(&mut rows, 2, Ord::cmp, |&(_, row), part| part_of[row] = part);
/// assert_eq!(part_of, [1, 1, 2, 1, 2]);
/// ```
pub fn ntiles<T>(
    rows: &mut [T],
    parts: u64,
    compare: impl Fn(&T, &T) -> Ordering,
    mut put: impl FnMut(&T, u64),
) {
    if parts == 0 || rows.is_empty() {
        return;
    }
    let filled = usize::try_from(parts).map_or(rows.len(), |parts| parts.min(rows.len()));
    let (share, larger) = (rows.len() / filled, rows.len() % filled);
    let starts: Vec<usize> = (0..=filled).map(|part| part * share + part.min(larger)).collect();
    place_ranks(rows, &starts[1..filled], &compare);
    for (part, bounds) in (1..).zip(starts.windows(2)) {
        for row in &rows[bounds[0]..bounds[1]] {
            put(row, part);
        }
    }
}

/// Moves the items so that at each of these rising places stands the one that a sort would put
/// there, with none larger before and none smaller behind it.
///
/// ```
/// use habitue_udf::ntile::place_ranks;
///
/// let mut items = [9, 2, 7, 4, 5];
/// place_ranks(&mut items, &[0, 2], &i32::cmp);
/// assert_eq!((items[0], items[2]), (2, 5));
/// ```
///
/// # Panics
///
/// When a place is beyond the items.
pub fn place_ranks<T>(items: &mut [T], places: &[usize], compare: &impl Fn(&T, &T) -> Ordering) {
    let Some(&middle) = places.get(places.len() / 2) else {
        return;
    };
    // Sorting is cheaper once hardly anything stays undecided.
    if places.len() > items.len() / 16 {
        items.sort_unstable_by(compare);
        return;
    }
    items.select_nth_unstable_by(middle, compare);
    place_ranks(&mut items[..middle], &places[..places.len() / 2], compare);
    let behind: Vec<usize> =
        places[places.len() / 2 + 1..].iter().map(|place| place - middle - 1).collect();
    place_ranks(&mut items[middle + 1..], &behind, compare);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the standard says it: sort, then count off.
    fn sorted_and_counted(keys: &[u8], parts: u64) -> Vec<u64> {
        let mut rows: Vec<usize> = (0..keys.len()).collect();
        rows.sort_by_key(|&row| (keys[row], row));
        let (share, larger) = (keys.len() as u64 / parts, keys.len() as u64 % parts);
        let sizes = (0..parts).map(|part| share + u64::from(part < larger));
        let counted = (1..).zip(sizes).flat_map(|(part, size)| (0..size).map(move |_| part));
        let mut part_of = vec![0; keys.len()];
        for (row, part) in rows.into_iter().zip(counted) {
            part_of[row] = part;
        }
        part_of
    }

    proptest! {
        #[test]
        fn selection_makes_the_parts_of_a_sort(
            keys in prop::collection::vec(any::<u8>(), 0..300),
            parts in prop_oneof![1..8u64, 1..400u64, Just(u64::MAX >> 20)],
        ) {
            let mut rows: Vec<(u8, usize)> = keys.iter().copied().zip(0..).collect();
            let mut part_of = vec![0; keys.len()];
            ntiles(&mut rows, parts, Ord::cmp, |&(_, row), part| part_of[row] = part);
            let expected = match parts {
                0..1000 => sorted_and_counted(&keys, parts),
                _ => sorted_and_counted(&keys, keys.len().max(1) as u64),
            };
            prop_assert_eq!(part_of, expected);
        }

        #[test]
        fn ranks_stand_where_a_sort_puts_them(
            keys in prop::collection::vec(any::<u8>(), 1..300),
            places in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let mut places: Vec<usize> = places.iter().map(|place| place.index(keys.len())).collect();
            places.sort_unstable();
            places.dedup();
            let (mut placed, mut sorted) = (keys.clone(), keys);
            place_ranks(&mut placed, &places, &u8::cmp);
            sorted.sort_unstable();
            for place in places {
                prop_assert_eq!(placed[place], sorted[place]);
            }
        }
    }
}

//! Comparing bitmaps, and cutting pieces out of one by position or by value.

use crate::bitmap::portable::Bitmap;

/// Whether the sets share an element.
pub(super) fn has_any(set: &Bitmap, other: &Bitmap) -> bool {
    set.intersection_len(other) > 0
}

/// Whether the set has all elements of the other; the empty set is in every set.
pub(super) fn has_all(set: &Bitmap, other: &Bitmap) -> bool {
    set.intersection_len(other) == other.len()
}

/// A negative offset counts from the end; an offset outside the set finds nothing.
pub(super) fn by_position(set: &Bitmap, offset: i64, count: i64) -> Bitmap {
    let skip = match u64::try_from(offset) {
        Ok(skip) => Some(skip),
        Err(_) => set.len().checked_sub(offset.unsigned_abs()),
    };
    let count = u64::try_from(count).unwrap_or(0);
    skip.map(|skip| set.slice(skip, count)).unwrap_or_default()
}

/// From `first` up to, not including, `end`.
pub(super) fn by_value(set: &Bitmap, first: i64, end: i64) -> Bitmap {
    match u64::try_from(end) {
        Ok(end) if i64::try_from(end).is_ok_and(|end| first < end) => {
            set.range(u64::try_from(first).unwrap_or(0), Some(end))
        }
        _ => Bitmap::default(),
    }
}

/// A negative limit takes the elements up to and including `start`, from the largest down.
pub(super) fn by_limit(set: &Bitmap, start: i64, limit: i64) -> Bitmap {
    let Ok(limit_up) = u64::try_from(limit) else {
        let Ok(start) = u64::try_from(start) else {
            return Bitmap::default();
        };
        let below = set.count_below(start) + u64::from(set.contains(start));
        let skip = below.saturating_sub(limit.unsigned_abs());
        return set.slice(skip, below - skip);
    };
    let start = u64::try_from(start).unwrap_or(0);
    set.slice(set.count_below(start), limit_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[u64]) -> Bitmap {
        values.iter().copied().collect()
    }

    #[test]
    fn position_counts_from_either_end() {
        let all = set(&[1, 3, 5, 7, 9]);
        assert_eq!(by_position(&all, 0, 2), set(&[1, 3]));
        assert_eq!(by_position(&all, -3, 2), set(&[5, 7]));
        assert_eq!(by_position(&all, -3, 100), set(&[5, 7, 9]));
        assert_eq!(by_position(&all, -6, 2), set(&[]));
        assert_eq!(by_position(&all, 5, 1), set(&[]));
        assert_eq!(by_position(&all, 0, -1), set(&[]));
        assert_eq!(by_position(&all, i64::MIN, i64::MAX), set(&[]));
    }

    #[test]
    fn range_leaves_out_its_end() {
        let all = set(&[1, 3, 5, 7, 9]);
        assert_eq!(by_value(&all, 1, 4), set(&[1, 3]));
        assert_eq!(by_value(&all, -9, 100), all);
        assert_eq!(by_value(&all, 3, 3), set(&[]));
        assert_eq!(by_value(&all, 4, -1), set(&[]));
    }

    #[test]
    fn negative_limit_goes_down_from_the_start() {
        let all = set(&[1, 3, 5, 7, 9]);
        assert_eq!(by_limit(&all, 1, 4), set(&[1, 3, 5, 7]));
        assert_eq!(by_limit(&all, 4, 2), set(&[5, 7]));
        assert_eq!(by_limit(&all, 5, -2), set(&[3, 5]));
        assert_eq!(by_limit(&all, 6, i64::MIN), set(&[1, 3, 5]));
        assert_eq!(by_limit(&all, -6, -1), set(&[]));
        assert_eq!(by_limit(&all, 10, 1), set(&[]));
    }

    #[test]
    fn empty_set_is_part_of_every_set() {
        assert!(has_all(&set(&[]), &set(&[])));
        assert!(!has_any(&set(&[]), &set(&[])));
        assert!(has_all(&set(&[1, 2]), &set(&[2])));
        assert!(!has_all(&set(&[2]), &set(&[1, 2])));
    }
}

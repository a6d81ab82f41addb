//! Which of many small files to merge, so that a database with many small commits opens quickly.

/// Fewer than this are not worth a merge.
const MERGE_MIN: usize = 4;

/// Plans over the sizes of a list that grows at its end: from which place on all are to become one,
/// or `None` while the list is good as it is.
///
/// A place is merged with everything behind it once that weighs as much as itself, so the sizes at
/// least halve from place to place: the list is never longer than the logarithm of its total, and
/// nothing is rewritten more often than that.
pub(crate) fn first_to_merge(sizes: &[u64]) -> Option<usize> {
    let mut behind = 0_u64;
    let mut start = sizes.len();
    for (place, &size) in sizes.iter().enumerate().rev() {
        if size <= behind {
            start = place;
        }
        behind = behind.saturating_add(size);
    }
    (sizes.len() - start >= MERGE_MIN).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_small_commits_leave_a_short_list() {
        let mut sizes: Vec<u64> = Vec::new();
        let (mut longest, mut rewritten) = (0, 0);
        for commit in 0..10_000_u64 {
            sizes.push(1 + commit % 7);
            if let Some(start) = first_to_merge(&sizes) {
                let merged = sizes.drain(start..).sum();
                rewritten += merged;
                sizes.push(merged);
            }
            longest = longest.max(sizes.len());
        }
        let total: u64 = sizes.iter().sum();
        assert!(longest <= 16, "longest={longest}");
        assert!(rewritten < total * 14, "rewritten={rewritten} total={total}");
    }

    #[test]
    fn a_few_small_ones_wait_until_they_are_worth_it() {
        assert_eq!(first_to_merge(&[100, 5, 5, 5]), None);
        assert_eq!(first_to_merge(&[100, 5, 5, 5, 5]), Some(1));
    }

    #[test]
    fn a_large_one_is_not_rewritten_for_small_ones() {
        assert_eq!(first_to_merge(&[1_000_000, 1, 1, 1, 1]), Some(1));
        assert_eq!(first_to_merge(&[1, 1, 1, 1_000_000]), Some(0));
        assert_eq!(first_to_merge(&[]), None);
    }
}

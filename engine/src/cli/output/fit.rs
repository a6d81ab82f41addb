//! Which columns a terminal has room for, and how wide each of them is.

/// A column is never cut below this; rather other columns are hidden.
const WIDTH_MIN: usize = 12;
/// What a column takes besides its text: a line and two spaces.
const FRAME: usize = 3;

/// A table's columns, fitted into a width.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// The shown columns and their widths, in order.
    pub(crate) shown: Vec<(usize, usize)>,
    /// The hidden columns, which stand between two shown ones.
    pub(crate) hidden: Vec<usize>,
}

/// Shares out `available` places among columns of these natural widths.
///
/// 1. If everything fits, nothing is cut.
/// 2. Else the widest columns are cut first, all to the same width, but none below a minimum.
/// 3. If that is not enough, columns in the middle are hidden behind one `…`.
pub(crate) fn fit(natural: &[usize], available: Option<usize>) -> Fitted {
    let all: Vec<usize> = (0..natural.len()).collect();
    let Some(available) = available else {
        return Fitted { shown: zip(&all, natural), hidden: Vec::new() };
    };
    let (shown, hidden) = choose(natural, available);
    let mark = if hidden.is_empty() { 0 } else { FRAME + 1 };
    let room = available.saturating_sub(1 + mark + FRAME * shown.len());
    let widths = share(&shown.iter().map(|column| natural[*column]).collect::<Vec<_>>(), room);
    Fitted { shown: zip(&shown, &widths), hidden }
}

fn zip(columns: &[usize], widths: &[usize]) -> Vec<(usize, usize)> {
    columns.iter().copied().zip(widths.iter().copied()).collect()
}

/// The columns whose minimal widths fit: from both ends towards the middle, the left end first.
fn choose(natural: &[usize], available: usize) -> (Vec<usize>, Vec<usize>) {
    let minimal = |column: usize| natural[column].min(WIDTH_MIN) + FRAME;
    let count = natural.len();
    if (0..count).map(minimal).sum::<usize>() < available {
        return ((0..count).collect(), Vec::new());
    }
    let mut taken = 1 + FRAME + 1;
    let (mut left, mut right) = (0, count);
    while left < right {
        let from_left = left <= count - right;
        let next = if from_left { left } else { right - 1 };
        // One column is shown however narrow the terminal is.
        if taken + minimal(next) > available && left > 0 {
            break;
        }
        taken += minimal(next);
        if from_left {
            left += 1;
        } else {
            right -= 1;
        }
    }
    let shown = (0..left).chain(right..count).collect();
    (shown, (left..right).collect())
}

/// Cuts the widest columns to the largest common width with which all fit.
fn share(natural: &[usize], room: usize) -> Vec<usize> {
    let with_cap = |cap: usize| -> Vec<usize> {
        natural.iter().map(|width| (*width).min(cap.max(WIDTH_MIN))).collect()
    };
    let widest = natural.iter().copied().max().unwrap_or(0);
    let fits = |cap: &usize| with_cap(*cap).iter().sum::<usize>() <= room;
    let cap = (0..=widest).rev().find(fits).unwrap_or(0);
    let mut widths = with_cap(cap);
    let mut spare = room.saturating_sub(widths.iter().sum());
    for (width, wanted) in widths.iter_mut().zip(natural) {
        if *width < *wanted && spare > 0 {
            *width += 1;
            spare -= 1;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(fitted: &Fitted) -> usize {
        let mark = if fitted.hidden.is_empty() { 0 } else { FRAME + 1 };
        1 + mark + fitted.shown.iter().map(|(_, width)| width + FRAME).sum::<usize>()
    }

    #[test]
    fn nothing_is_cut_when_everything_fits() {
        let fitted = fit(&[3, 50, 8], Some(100));
        assert_eq!(fitted.shown, [(0, 3), (1, 50), (2, 8)]);
        assert_eq!(fit(&[3, 5000], None).shown, [(0, 3), (1, 5000)]);
    }

    #[test]
    fn the_widest_columns_are_cut_first_and_the_room_is_used_up() {
        let fitted = fit(&[3, 90, 70, 10], Some(80));
        assert_eq!(fitted.shown, [(0, 3), (1, 27), (2, 27), (3, 10)]);
        assert_eq!(total(&fitted), 80);
    }

    #[test]
    fn columns_in_the_middle_are_hidden_when_there_is_no_room() {
        let fitted = fit(&[20; 30], Some(80));
        assert!(!fitted.hidden.is_empty());
        assert!(fitted.shown.first().is_some_and(|(column, _)| *column == 0));
        assert!(fitted.shown.last().is_some_and(|(column, _)| *column == 29));
    }

    // If this fails, lines wrap and the table cannot be read.
    #[test]
    fn no_table_is_wider_than_its_terminal() {
        for columns in 1..40 {
            for available in 20..200 {
                let natural: Vec<_> = (0..columns).map(|c| 1 + (c * 7919) % 60).collect();
                let fitted = fit(&natural, Some(available));
                assert!(total(&fitted) <= available, "{natural:?} {available} {fitted:?}");
                assert_eq!(fitted.shown.len() + fitted.hidden.len(), columns);
            }
        }
    }

    #[test]
    fn a_table_without_columns_is_no_trouble() {
        assert_eq!(fit(&[], Some(10)), Fitted { shown: Vec::new(), hidden: Vec::new() });
    }
}

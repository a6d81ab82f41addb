//! Columns of many files as one column, in another order of rows.

use crate::hot::column::{HotColumn, Numbers};
use crate::hot::labels::Labels;
use std::sync::Arc;

/// The rows of one column of several files, which have so many rows each, in this order of all
/// rows; the first `owned` of them have an identifier. `None` when the columns are of several kinds.
pub(crate) fn arranged(
    files: &[Arc<HotColumn>],
    rows: &[usize],
    order: &[u32],
    owned: usize,
    threads: usize,
) -> Option<HotColumn> {
    Some(match files.first()?.as_ref() {
        HotColumn::Times(_) => times_in_order(&times_of_all(files), order, threads),
        HotColumn::Identifiers(_) => {
            let mut all = Vec::with_capacity(rows.iter().sum());
            for (file, rows) in files.iter().zip(rows) {
                // Rows without an identifier are the last of a file. They take their place, and
                // are left out again: they are the last here, too.
                let end = all.len() + rows;
                all.extend_from_slice(file.identifiers());
                all.resize(end, u32::MAX);
            }
            HotColumn::Identifiers(gathered(&all, &order[..owned], threads))
        }
        HotColumn::Decimals(_) => {
            let numbers = files.iter().map(|file| file.numbers()).collect::<Option<Vec<_>>>()?;
            HotColumn::Decimals(Numbers::arranged(&numbers, order, threads))
        }
        HotColumn::Labels(_) => {
            let labels = files.iter().map(|file| file.labels()).collect::<Option<Vec<_>>>()?;
            HotColumn::Labels(Labels::arranged(&labels, order, threads))
        }
        HotColumn::Order(_) => return None,
    })
}

/// Times of files, put one after the other, in this order.
pub(crate) fn times_in_order(times: &[i64], order: &[u32], threads: usize) -> HotColumn {
    HotColumn::Times(gathered(times, order, threads).into())
}

/// The times of all files, one file after the other.
pub(crate) fn times_of_all(files: &[Arc<HotColumn>]) -> Vec<i64> {
    let rows = files.iter().map(|file| file.times().len()).sum();
    let mut all = Vec::with_capacity(rows);
    files.iter().for_each(|file| all.extend_from_slice(file.times()));
    all
}

/// The values at these rows.
pub(super) fn gathered<T: Copy + Default + Send + Sync>(
    values: &[T],
    order: &[u32],
    threads: usize,
) -> Vec<T> {
    if threads <= 1 {
        return order.iter().map(|&row| values[row as usize]).collect();
    }
    let mut found = vec![T::default(); order.len()];
    let part = order.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (order, found) in order.chunks(part).zip(found.chunks_mut(part)) {
            scope.spawn(move || {
                for (found, &row) in found.iter_mut().zip(order) {
                    *found = values[row as usize];
                }
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_an_identifier_stay_the_last() {
        let files = [vec![7], vec![8, 9]].map(|known| Arc::new(HotColumn::Identifiers(known)));
        let arranged = arranged(&files, &[2, 3], &[2, 0, 3, 4, 1], 3, 1).unwrap();
        assert_eq!(arranged.identifiers(), [8, 7, 9]);
    }

    #[test]
    fn rows_of_several_files_come_in_the_order_that_is_wanted() {
        let times = |times: Vec<i64>| Arc::new(HotColumn::Times(times.into()));
        let files = [times(vec![10, 11]), times(vec![20]), times(vec![30, 31])];
        let arranged = arranged(&files, &[2, 1, 2], &[4, 0, 2, 1, 3], 5, 2).unwrap();
        assert_eq!(arranged.times(), [31, 10, 20, 11, 30]);
    }
}

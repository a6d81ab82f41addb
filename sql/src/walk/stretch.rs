//! Rows of several customers that stand side by side.

use crate::walk::runs::{CustomerRuns, Owner, Run};
use crate::walk::segments::Segments;

/// A stretch of one customer after the other has no more rows.
const ROWS_MAX: u32 = 32 * 1024;

/// Whose rows a stretch is.
#[derive(Default)]
pub(super) struct Stretch {
    /// Each customer, and behind which row theirs end.
    ends: Vec<(Owner, u32)>,
}

impl Stretch {
    /// The rows of the first of these customers, as far as they stand side by side; `None` when
    /// that is less than two customers.
    pub(super) fn begin(&mut self, customers: &[u32], runs: &CustomerRuns) -> Option<Run> {
        self.ends.clear();
        let mut stretch: Option<Run> = None;
        for &customer in customers {
            let owner = Owner::Customer(customer);
            let [run] = runs.of(owner) else {
                break;
            };
            match &mut stretch {
                None => stretch = Some(*run),
                Some(all)
                    if all.file == run.file
                        && all.start + all.rows == run.start
                        && all.rows + run.rows <= ROWS_MAX =>
                {
                    all.rows += run.rows;
                }
                _ => break,
            }
            self.ends.push((owner, run.start + run.rows));
        }
        stretch.filter(|_| self.ends.len() > 1)
    }

    /// How many customers there are in it.
    pub(super) fn customers(&self) -> usize {
        self.ends.len()
    }

    /// Gives those of its rows that were kept, ascending, to their customers.
    pub(super) fn give(&self, kept: &mut Vec<Run>, segments: &mut Segments) {
        let mut at = 0;
        for run in kept.drain(..) {
            let (mut start, end) = (run.start, run.start + run.rows);
            while start < end {
                while self.ends[at].1 <= start {
                    at += 1;
                }
                let (owner, owners_end) = self.ends[at];
                let rows = end.min(owners_end) - start;
                segments.push(owner, Run { start, rows, ..run });
                start += rows;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::runs::{IndexedFile, Part};
    use habitue_storage::data_file::FileIndexBuilder;
    use habitue_storage::identity::IdentityMap;
    use std::sync::Arc;

    /// Files in which identifiers have so many rows, one after the other.
    fn runs(files: &[&[(u32, u32)]]) -> CustomerRuns {
        let file = |rows: &&[(u32, u32)]| {
            let mut builder = FileIndexBuilder::default();
            for &(identifier, rows) in *rows {
                (0..rows).for_each(|_| builder.push(Some(identifier), Some(identifier)).unwrap());
            }
            Part::File(IndexedFile { index: Arc::new(builder.finish()), identifiers: None })
        };
        let files = files.iter().map(file).collect::<Vec<_>>();
        CustomerRuns::new(&files, &IdentityMap::new(vec![0, 1, 2, 3, 4]).unwrap()).unwrap()
    }

    fn run(start: u32, rows: u32) -> Run {
        Run { file: 0, start, rows }
    }

    #[test]
    fn a_stretch_ends_where_rows_do_not_stand_side_by_side() {
        let mut stretch = Stretch::default();
        let one_file = runs(&[&[(0, 2), (1, 3), (2, 1), (3, 4)]]);
        assert_eq!(stretch.begin(&[0, 1, 2, 3], &one_file), Some(run(0, 10)));
        assert_eq!(stretch.begin(&[0, 1, 3], &one_file), Some(run(0, 5)));
        assert_eq!(stretch.customers(), 2);
        assert_eq!(stretch.begin(&[1, 3], &one_file), None);
        assert_eq!(stretch.begin(&[], &one_file), None);
        let two_files = runs(&[&[(0, 2), (1, 3), (2, 1)], &[(2, 4)]]);
        assert_eq!(stretch.begin(&[0, 1, 2], &two_files), Some(run(0, 5)));
        assert_eq!(stretch.begin(&[2], &two_files), None);
        let large = runs(&[&[(0, 9), (1, ROWS_MAX - 9), (2, 1), (3, 2 * ROWS_MAX), (4, 1)]]);
        assert_eq!(stretch.begin(&[0, 1, 2, 3], &large), Some(run(0, ROWS_MAX)));
        assert_eq!(stretch.begin(&[3, 4], &large), None);
    }

    // If this fails, events are told of other customers.
    #[test]
    fn rows_that_were_kept_go_to_their_customers() {
        let runs = runs(&[&[(0, 2), (1, 3), (2, 1), (3, 4)]]);
        let mut stretch = Stretch::default();
        stretch.begin(&[0, 1, 2, 3], &runs).unwrap();
        let mut segments = Segments::default();
        stretch.give(&mut vec![run(1, 2), run(5, 1), run(7, 3)], &mut segments);
        assert_eq!(segments.runs, [run(1, 2), run(5, 1), run(7, 3)]);
        let customers = [(0, 1), (1, 1), (2, 1), (3, 3)];
        let owners = customers.map(|(customer, rows)| (Owner::Customer(customer), rows));
        assert_eq!((segments.owners, segments.rows), (owners.to_vec(), 6));
    }
}

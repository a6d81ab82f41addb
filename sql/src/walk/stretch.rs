//! Rows of several customers that stand side by side.

use crate::walk::runs::{CustomerRuns, Owner, Run};
use crate::walk::segments::Segments;

/// A stretch of one customer after the other has no more rows.
const ROWS_MAX: u32 = 32 * 1024;

/// Whose rows a stretch is.
#[derive(Default)]
pub(super) struct Stretch {
    rows: Option<Run>,
    /// Each customer, and behind which row theirs end.
    ends: Vec<(Owner, u32)>,
}

impl Stretch {
    pub(super) fn clear(&mut self) {
        self.rows = None;
        self.ends.clear();
    }

    /// Takes in the next customer, when their rows stand behind those before; false otherwise.
    pub(super) fn push(&mut self, customer: u32, runs: &CustomerRuns) -> bool {
        let owner = Owner::Customer(customer);
        let mut of_customer = runs.of(owner);
        let (Some(run), None) = (of_customer.next(), of_customer.next()) else {
            return false;
        };
        match &mut self.rows {
            None => self.rows = Some(run),
            Some(all)
                if all.file == run.file
                    && all.start + all.rows == run.start
                    && all.rows + run.rows <= ROWS_MAX =>
            {
                all.rows += run.rows;
            }
            _ => return false,
        }
        self.ends.push((owner, run.start + run.rows));
        true
    }

    /// The rows of all of them, when they are at least two.
    pub(super) fn rows(&self) -> Option<Run> {
        self.rows.filter(|_| self.ends.len() > 1)
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
    use crate::walk::runs::IndexedFile;
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
            IndexedFile { index: Arc::new(builder.finish()), identifiers: None }
        };
        let files = files.iter().map(file).collect::<Vec<_>>();
        CustomerRuns::of_files(&files, &IdentityMap::new(vec![0, 1, 2, 3, 4]).unwrap()).unwrap()
    }

    fn run(start: u32, rows: u32) -> Run {
        Run { file: 0, start, rows }
    }

    /// The stretch of these customers, and how many of them are in it.
    fn begun(
        stretch: &mut Stretch,
        customers: &[u32],
        runs: &CustomerRuns,
    ) -> (Option<Run>, usize) {
        stretch.clear();
        let taken = customers.iter().take_while(|&&customer| stretch.push(customer, runs)).count();
        (stretch.rows(), taken)
    }

    #[test]
    fn a_stretch_ends_where_rows_do_not_stand_side_by_side() {
        let mut stretch = Stretch::default();
        let mut begun = |customers: &[u32], runs| begun(&mut stretch, customers, runs);
        let one_file = runs(&[&[(0, 2), (1, 3), (2, 1), (3, 4)]]);
        assert_eq!(begun(&[0, 1, 2, 3], &one_file), (Some(run(0, 10)), 4));
        assert_eq!(begun(&[0, 1, 3], &one_file), (Some(run(0, 5)), 2));
        assert_eq!(begun(&[1, 3], &one_file), (None, 1));
        assert_eq!(begun(&[4, 0], &one_file), (None, 0));
        let two_files = runs(&[&[(0, 2), (1, 3), (2, 1)], &[(2, 4)]]);
        assert_eq!(begun(&[0, 1, 2], &two_files), (Some(run(0, 5)), 2));
        assert_eq!(begun(&[2], &two_files), (None, 0));
        let large = runs(&[&[(0, 9), (1, ROWS_MAX - 9), (2, 1), (3, 2 * ROWS_MAX), (4, 1)]]);
        assert_eq!(begun(&[0, 1, 2, 3], &large), (Some(run(0, ROWS_MAX)), 2));
        assert_eq!(begun(&[3, 4], &large), (None, 1));
    }

    // If this fails, events are told of other customers.
    #[test]
    fn rows_that_were_kept_go_to_their_customers() {
        let runs = runs(&[&[(0, 2), (1, 3), (2, 1), (3, 4)]]);
        let mut stretch = Stretch::default();
        assert_eq!(begun(&mut stretch, &[0, 1, 2, 3], &runs).1, 4);
        let mut segments = Segments::default();
        stretch.give(&mut vec![run(1, 2), run(5, 1), run(7, 3)], &mut segments);
        assert_eq!(segments.runs, [run(1, 2), run(5, 1), run(7, 3)]);
        let customers = [(0, 1), (1, 1), (2, 1), (3, 3)];
        let owners = customers.map(|(customer, rows)| (Owner::Customer(customer), rows));
        assert_eq!((segments.owners, segments.rows), (owners.to_vec(), 6));
    }
}

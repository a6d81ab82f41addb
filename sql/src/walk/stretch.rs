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

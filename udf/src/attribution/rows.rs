//! Many rows of a customer at once: touches after the last goal of a customer cost nothing.

use super::{Attribution, Touch};
use crate::names::Names;
use std::ops::Range;

/// Rows, some of which are touches; the columns are as long as each other.
#[derive(Clone, Copy, Debug)]
pub struct TouchRows<'a> {
    /// When.
    pub ts: &'a [i64],
    /// The touch, by its number among [`Attribution::names`], or [`Names::NONE`].
    pub touches: &'a [u32],
}

/// A row that is a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Its place among the rows.
    pub row: usize,
    /// What it is worth.
    pub amount: i128,
}

/// What is known of the rows that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// None belongs to the customer at hand.
    OthersOnly,
    /// The customer at hand may go on.
    MayGoOn,
}

impl Attribution {
    /// The next rows of the customer, as if each that is a touch or a goal were
    /// [observed](Attribution::observe): up to the last of them `ts` never goes down. The goals are
    /// those among `rows`, in their order.
    pub fn observe_rows(
        &mut self,
        columns: &TouchRows<'_>,
        rows: Range<usize>,
        goals: &[Goal],
        rest: Rest,
    ) {
        let mut next = rows.start;
        if !self.goals.is_empty() {
            next = self.keep_through(self.now_ts, columns, next, rows.clone());
        }
        for goal in goals {
            self.observe_goal(columns.ts[goal.row], goal.amount);
            next = self.keep_through(self.now_ts, columns, next, goal.row + 1..rows.end);
        }
        // Touches without a goal after them are for nothing.
        if rest == Rest::MayGoOn && next < rows.end {
            self.settle();
            self.keep_touches(columns, next..rows.end);
        }
    }

    /// Keeps the touches from `next` on up to the start of `rows`, and those behind that happened
    /// at this time as well; answers the row after them.
    fn keep_through(
        &mut self,
        ts: i64,
        columns: &TouchRows<'_>,
        next: usize,
        rows: Range<usize>,
    ) -> usize {
        let start = next.max(rows.start);
        let same = columns.ts[start..rows.end].iter().take_while(|&&other| other == ts).count();
        self.keep_touches(columns, next..start + same);
        start + same
    }

    /// Writes every row; the next overwrites what is no touch.
    fn keep_touches(&mut self, columns: &TouchRows<'_>, rows: Range<usize>) {
        let mut end = self.touches.len();
        self.touches.resize(end + rows.len(), Touch { ts: 0, name: 0 });
        for (&ts, &name) in columns.ts[rows.clone()].iter().zip(&columns.touches[rows]) {
            self.touches[end] = Touch { ts, name };
            end += usize::from(name != Names::NONE);
        }
        self.touches.truncate(end);
    }
}

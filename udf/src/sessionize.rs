//! `sessionize(ts, gap) OVER (PARTITION BY … ORDER BY ts)`: the number of each row's session.
//!
//! ```sql
//! SELECT minute, sessionize(minute, 30) OVER (ORDER BY minute) AS session
//! FROM (VALUES (0), (30), (61), (70)) AS visits(minute) ORDER BY minute;
//! +--------+---------+
//! | minute | session |
//! +--------+---------+
//! | 0      | 1       |
//! | 30     | 1       |
//! | 61     | 2       |
//! | 70     | 2       |
//! +--------+---------+
//! ```
//!
//! Sessions are numbered from 1 in each partition; a new one begins when a row is **more** than
//! `gap` after the row before it, so an equal gap stays in the session. Time decides, not the order
//! of the rows: ORDER BY is for the reader, and leaving it out or turning it round changes no
//! number. Rows with equal times are in the same session. NULL `ts`: the row is in no session, its
//! number is NULL.
//!
//! Cost: one pass, and a sort of a partition that is not sorted by `ts`. Memory: one partition's
//! times. Elsewhere: DuckDB `behavioral` has `sessionize`; Snowflake writes it with
//! `CONDITIONAL_TRUE_EVENT`, counting from 0.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::function::{
    PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;

use crate::arguments::{self, Argument, Wording};
use crate::time_scale::TimeScale;

const WORDING: Wording = Wording {
    function: "sessionize",
    example: "sessionize(ts, INTERVAL '30 minutes') OVER (PARTITION BY customer_id ORDER BY ts)",
};

/// Where a walk through the rows of one customer, in order of time, has got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    last: Option<i64>,
    session: i64,
}

impl Sessions {
    /// The session of the next row; times must not go back.
    pub fn observe(&mut self, ts: i64, gap: i64) -> i64 {
        let continues = self.last.is_some_and(|last| ts.saturating_sub(last) <= gap);
        if !continues {
            self.session += 1;
        }
        self.last = Some(ts);
        self.session
    }

    /// The sessions of the next rows, added to `sessions`.
    pub fn observe_all(&mut self, times: &[i64], gap: i64, sessions: &mut Vec<i64>) {
        let Some(&first) = times.first() else {
            return;
        };
        let mut session = self.observe(first, gap);
        sessions.push(session);
        sessions.extend(times.windows(2).map(|pair| {
            session += i64::from(pair[1].saturating_sub(pair[0]) > gap);
            session
        }));
        (self.last, self.session) = (times.last().copied(), session);
    }
}

/// The window function `sessionize`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SessionizeFunction {
    signature: Signature,
}

impl Default for SessionizeFunction {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

fn gap_of(arguments: &[Argument]) -> Result<(TimeScale, i64)> {
    let [ts, gap] = arguments else {
        let came = format!("{} arguments", arguments.len());
        return Err(WORDING.wrong("ts, gap", came, "a time column and a gap"));
    };
    let scale = TimeScale::of(&ts.data_type, WORDING)?;
    let wanted = "an interval without months or a whole number, not negative";
    let gap = WORDING.literal("gap", gap, wanted)?;
    Ok((scale, scale.length("gap", gap, WORDING)?))
}

/// A call whose arguments have been checked, for operators that walk from customer to customer
/// themselves and keep the [`Sessions`] of each.
#[derive(Clone, Copy, Debug)]
pub struct SessionCall {
    scale: TimeScale,
    gap: i64,
}

impl SessionCall {
    /// The call with these arguments over rows of this schema.
    pub fn new(arguments: &[Arc<dyn PhysicalExpr>], schema: &Schema) -> Result<Self> {
        let fields = arguments.iter().map(|argument| argument.return_field(schema));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let (scale, gap) = gap_of(&arguments::of_physical(arguments, &fields))?;
        Ok(Self { scale, gap })
    }

    /// The largest gap within a session, in the steps of [`SessionCall::times`].
    pub fn gap(&self) -> i64 {
        self.gap
    }

    /// A column of times in steps that a gap can be compared with.
    pub fn times(&self, ts: &ArrayRef) -> Result<Int64Array> {
        self.scale.steps(ts)
    }
}

impl WindowUDFImpl for SessionizeFunction {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        for ts in args.input_fields().iter().take(1) {
            TimeScale::of(ts.data_type(), WORDING)?;
        }
        Ok(Arc::new(Field::new(args.name(), DataType::Int64, true)))
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        Some(arguments::check_window(|arguments| gap_of(arguments).map(|_| ())))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let arguments = arguments::of_physical(args.input_exprs(), args.input_fields());
        let (scale, gap) = gap_of(&arguments)?;
        Ok(Box::new(SessionizeEvaluator { scale, gap }))
    }
}

#[derive(Debug)]
struct SessionizeEvaluator {
    scale: TimeScale,
    gap: i64,
}

impl PartitionEvaluator for SessionizeEvaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _num_rows: usize) -> Result<ArrayRef> {
        let ts = self.scale.steps(&values[0])?;
        Ok(Arc::new(sessions(&ts, self.gap)))
    }
}

fn sessions(ts: &Int64Array, gap: i64) -> Int64Array {
    let mut walk = Sessions::default();
    if ts.null_count() == 0 && ts.values().is_sorted() {
        return ts.values().iter().map(|&ts| walk.observe(ts, gap)).collect();
    }
    let mut rows: Vec<usize> = (0..ts.len()).filter(|&row| ts.is_valid(row)).collect();
    rows.sort_by_key(|&row| ts.value(row));
    let mut sessions = vec![None; ts.len()];
    for row in rows {
        sessions[row] = Some(walk.observe(ts.value(row), gap));
    }
    Int64Array::from(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(ts: Vec<Option<i64>>, gap: i64) -> Vec<Option<i64>> {
        sessions(&Int64Array::from(ts), gap).iter().collect()
    }

    #[test]
    fn nothing_and_one_row() {
        assert_eq!(numbers(vec![], 5), []);
        assert_eq!(numbers(vec![Some(3)], 5), [Some(1)]);
    }

    #[test]
    fn equal_gap_stays_and_greater_gap_leaves() {
        let ts = vec![Some(0), Some(5), Some(11), Some(11)];
        assert_eq!(numbers(ts, 5), [Some(1), Some(1), Some(2), Some(2)]);
    }

    #[test]
    fn row_order_changes_no_number() {
        let ts = vec![Some(11), Some(5), None, Some(0)];
        assert_eq!(numbers(ts, 5), [Some(2), Some(1), None, Some(1)]);
    }

    #[test]
    fn many_rows_at_once_are_numbered_as_one_by_one() {
        let times = [0, 5, 11, 11, 30, 31, 50];
        let mut walk = Sessions::default();
        let expected = times.map(|ts| walk.observe(ts, 5));
        for split in 0..=times.len() {
            let (mut walk, mut numbers) = (Sessions::default(), Vec::new());
            let (first, others) = times.split_at(split);
            walk.observe_all(first, 5, &mut numbers);
            walk.observe_all(others, 5, &mut numbers);
            assert_eq!(numbers, expected);
        }
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        assert_eq!(numbers(vec![Some(i64::MIN), Some(i64::MAX)], 9), [Some(1), Some(2)]);
    }
}

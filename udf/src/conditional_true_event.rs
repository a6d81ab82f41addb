//! `conditional_true_event(b) OVER (…)`: how often the condition was true up to this row.
//!
//! ```sql
//! SELECT at, conditional_true_event(event = 'login') OVER (ORDER BY at) AS visit
//! FROM (VALUES (1, 'view'), (2, 'login'), (3, 'view'), (4, 'login')) AS events(at, event)
//! ORDER BY at;
//! +----+-------+
//! | at | visit |
//! +----+-------+
//! | 1  | 0     |
//! | 2  | 1     |
//! | 3  | 1     |
//! | 4  | 2     |
//! +----+-------+
//! ```
//!
//! The number begins at 0 in each partition and grows by one at each row where the condition is
//! true. NULL: false. The order of the window decides, so give it one without ties, or rows with
//! equal keys may share out their numbers differently from run to run.
//!
//! Cost: one pass. Elsewhere: `CONDITIONAL_TRUE_EVENT` of Snowflake and Vertica.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

use crate::arguments::{Argument, Wording};
use crate::conditions;

const WORDING: Wording = Wording {
    function: "conditional_true_event",
    example: "conditional_true_event(event = 'login') OVER (PARTITION BY customer_id ORDER BY ts)",
};

/// How many rows were true so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrueEvents {
    count: i64,
}

impl TrueEvents {
    /// Takes the next row and answers its number.
    pub fn observe(&mut self, mask: u32) -> i64 {
        self.count += i64::from(mask & 1);
        self.count
    }
}

/// The window function `conditional_true_event`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ConditionalTrueEventFunction {
    signature: Signature,
}

impl Default for ConditionalTrueEventFunction {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl WindowUDFImpl for ConditionalTrueEventFunction {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let arguments: Vec<_> = args
            .input_fields()
            .iter()
            .map(|field| Argument { data_type: field.data_type().clone(), literal: None })
            .collect();
        conditions::check(&arguments, WORDING)?;
        Ok(Arc::new(Field::new(args.name(), DataType::Int64, false)))
    }

    fn partition_evaluator(
        &self,
        _args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(TrueEventsEvaluator))
    }
}

#[derive(Debug)]
struct TrueEventsEvaluator;

impl PartitionEvaluator for TrueEventsEvaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let mut walk = TrueEvents::default();
        let masks = conditions::masks(values, num_rows);
        Ok(Arc::new(Int64Array::from_iter_values(masks.iter().map(|&mask| walk.observe(mask)))))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::BooleanArray;

    use super::*;

    #[test]
    fn number_grows_at_the_true_row_itself() {
        let column: ArrayRef =
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]));
        let numbers = TrueEventsEvaluator.evaluate_all(&[column], 4).unwrap();
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 2]));
        assert_eq!(&numbers, &expected);
    }
}

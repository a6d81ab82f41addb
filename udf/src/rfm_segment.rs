//! `rfm_segment(r, f, m)`: the name that marketing gives to customers with these scores.
//!
//! ```sql
//! SELECT r, f, m, rfm_segment(r, f, m) AS segment
//! FROM (VALUES (5, 5, 5), (5, 1, 1), (1, 5, 5), (1, 1, 1)) AS scores(r, f, m)
//! ORDER BY r DESC, f DESC;
//! +---+---+---+-----------------+
//! | r | f | m | segment         |
//! +---+---+---+-----------------+
//! | 5 | 5 | 5 | Champions       |
//! | 5 | 1 | 1 | New Customers   |
//! | 1 | 5 | 5 | Can't Lose Them |
//! | 1 | 1 | 1 | Lost            |
//! +---+---+---+-----------------+
//! ```
//!
//! The scores of recency, frequency and money are whole numbers, 5 is best, as [`rfm_score`] gives
//! them. The first rule of the table that matches wins; if none does, the name is `Others`. A NULL
//! score answers NULL.
//!
//! | segment | r | f | m |
//! |---|---|---|---|
//! | Champions | 4–5 | 4–5 | 4–5 |
//! | Can't Lose Them | 1 | 4–5 | 4–5 |
//! | New Customers | 4–5 | 1 | 1 |
//! | Promising | 3–4 | 1 | 1 |
//! | Loyal Customers | 2–5 | 3–5 | 3–5 |
//! | Potential Loyalist | 3–5 | 1–3 | 1–3 |
//! | Need Attention | 2–3 | 2–3 | 2–3 |
//! | About To Sleep | 2–3 | 1–2 | 1–2 |
//! | At Risk | 1–2 | 2–5 | 2–5 |
//! | Lost | 1–2 | 1–2 | 1–2 |
//!
//! The bounds are the ones that the R package rfm made known. They overlap, so narrow rules stand
//! before the wide ones that contain them: else nobody would ever be a New Customer.
//! Other rules: [`RfmSegmentFunction::with_rules`], registered in place of this function.
//!
//! [`rfm_score`]: crate::rfm_score

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::arguments::Wording;

const WORDING: Wording = Wording { function: "rfm_segment", example: "rfm_segment(r, f, m)" };

/// The name where no rule matches.
pub const OTHERS: &str = "Others";

/// One line of the table of rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SegmentRule {
    /// What customers are called whose scores all lie in the ranges.
    pub name: String,
    /// Scores of recency.
    pub recency: RangeInclusive<i64>,
    /// Scores of frequency.
    pub frequency: RangeInclusive<i64>,
    /// Scores of money.
    pub monetary: RangeInclusive<i64>,
}

impl SegmentRule {
    fn matches(&self, [recency, frequency, monetary]: [i64; 3]) -> bool {
        self.recency.contains(&recency)
            && self.frequency.contains(&frequency)
            && self.monetary.contains(&monetary)
    }
}

/// The rules that hold unless others are given.
pub fn standard_rules() -> Vec<SegmentRule> {
    let table = [
        ("Champions", 4..=5, 4..=5, 4..=5),
        ("Can't Lose Them", 1..=1, 4..=5, 4..=5),
        ("New Customers", 4..=5, 1..=1, 1..=1),
        ("Promising", 3..=4, 1..=1, 1..=1),
        ("Loyal Customers", 2..=5, 3..=5, 3..=5),
        ("Potential Loyalist", 3..=5, 1..=3, 1..=3),
        ("Need Attention", 2..=3, 2..=3, 2..=3),
        ("About To Sleep", 2..=3, 1..=2, 1..=2),
        ("At Risk", 1..=2, 2..=5, 2..=5),
        ("Lost", 1..=2, 1..=2, 1..=2),
    ];
    let rule = |(name, recency, frequency, monetary): (&str, _, _, _)| SegmentRule {
        name: name.to_owned(),
        recency,
        frequency,
        monetary,
    };
    table.into_iter().map(rule).collect()
}

/// The name of the first rule that matches scores of recency, frequency and money.
pub fn segment_of(scores: [i64; 3], rules: &[SegmentRule]) -> &str {
    rules.iter().find(|rule| rule.matches(scores)).map_or(OTHERS, |rule| rule.name.as_str())
}

/// The scalar function `rfm_segment`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RfmSegmentFunction {
    rules: Vec<SegmentRule>,
    signature: Signature,
}

impl Default for RfmSegmentFunction {
    fn default() -> Self {
        Self::with_rules(standard_rules())
    }
}

impl RfmSegmentFunction {
    /// The function with a table of rules of one's own.
    pub fn with_rules(rules: Vec<SegmentRule>) -> Self {
        Self { rules, signature: Signature::any(3, Volatility::Immutable) }
    }

    fn segments(&self, scores: &[Int64Array]) -> StringArray {
        let rows = scores.iter().map(Int64Array::len).min().unwrap_or(0);
        let segment = |row: usize| {
            let known = scores.iter().all(|column| column.is_valid(row));
            let score = |index: usize| scores[index].value(row);
            known.then(|| segment_of([score(0), score(1), score(2)], &self.rules))
        };
        (0..rows).map(segment).collect()
    }
}

impl ScalarUDFImpl for RfmSegmentFunction {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        for (name, data_type) in ["r", "f", "m"].into_iter().zip(types) {
            if !data_type.is_integer() && data_type != &DataType::Null {
                return Err(WORDING.wrong(name, data_type, "a score (whole number)"));
            }
        }
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let scores = columns
            .iter()
            .map(|column| Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
            .collect::<Result<Vec<_>>>()?;
        let segments: ArrayRef = Arc::new(self.segments(&scores));
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&segments, 0)?));
        }
        Ok(ColumnarValue::Array(segments))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all_scores() -> impl Iterator<Item = [i64; 3]> {
        (0..125).map(|cell| [cell / 25 + 1, cell / 5 % 5 + 1, cell % 5 + 1])
    }

    #[test]
    fn every_name_is_given_to_someone() {
        let rules = standard_rules();
        let given: BTreeSet<_> = all_scores().map(|scores| segment_of(scores, &rules)).collect();
        let named: BTreeSet<_> =
            rules.iter().map(|rule| rule.name.as_str()).chain([OTHERS]).collect();
        assert_eq!(given, named);
    }

    #[test]
    fn first_matching_rule_wins() {
        let rules = standard_rules();
        assert_eq!(segment_of([4, 1, 1], &rules), "New Customers");
        assert_eq!(segment_of([3, 1, 1], &rules), "Promising");
        assert_eq!(segment_of([2, 3, 3], &rules), "Loyal Customers");
        assert_eq!(segment_of([1, 3, 3], &rules), "At Risk");
        assert_eq!(segment_of([5, 1, 5], &rules), OTHERS);
        assert_eq!(segment_of([0, 9, -1], &rules), OTHERS);
    }

    #[test]
    fn rules_can_be_replaced() {
        let whales = SegmentRule {
            name: "Whales".into(),
            recency: 1..=5,
            frequency: 1..=5,
            monetary: 5..=5,
        };
        assert_eq!(segment_of([1, 1, 5], &[whales]), "Whales");
        assert_eq!(segment_of([1, 1, 5], &[]), OTHERS);
    }
}

//! `rfm_score(value, [direction,] [method]) OVER (…)`: where a value stands among all, from 1 to 5.
//!
//! ```sql
//! SELECT customer, rfm_score(spent) OVER () AS m, rfm_score(days_ago, 'desc') OVER () AS r
//! FROM (VALUES ('ann', 90, 2), ('bob', 20, 30), ('cid', 20, 9), ('dora', 5, 400),
//!              ('eve', 50, 2)) AS customers(customer, spent, days_ago)
//! ORDER BY customer;
//! +----------+---+---+
//! | customer | m | r |
//! +----------+---+---+
//! | ann      | 5 | 4 |
//! | bob      | 2 | 2 |
//! | cid      | 2 | 3 |
//! | dora     | 1 | 1 |
//! | eve      | 4 | 4 |
//! +----------+---+---+
//! ```
//!
//! 5 is best. `direction` is `'asc'` (default: larger is better) or `'desc'` (smaller is better, as
//! for days since the last purchase). `method` is one of
//! - `'quantile'` (default): cut points at 20, 40, 60 and 80 % of all values (type 7: linear
//!   between neighbours), score = 1 + cut points strictly below the value. Equal values get equal
//!   scores, and the order of the rows never matters. With fewer than five distinct values some
//!   scores are not given: of one single value all rows score 1.
//! - `'ntile'`: five parts of equal size, larger ones first; equal values may be parted, in the
//!   order of the window: give it a unique one, `OVER (ORDER BY customer_id)`.
//! - a list of up to four rising cut points, such as `[10, 100, 500, 1000]`.
//!
//! `'desc'` is exactly `rfm_score(-value)`. NULL and NaN have no score (NULL) and do not count.
//! Decimals and integers are compared as 64-bit floats.
//!
//! Cost: in proportion to the rows. Memory: 8 bytes per row, with `'ntile'` 16. Elsewhere: `NTILE(5)` everywhere (which
//! parts ties); the R package rfm cuts at quantiles as well, with values on a cut point one higher.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{
    PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

use crate::arguments::{self, Argument, Wording};
use crate::ntile::{ntiles, place_ranks};

const WORDING: Wording = Wording {
    function: "rfm_score",
    example: "rfm_score(recency_days, 'desc', 'quantile') OVER ()",
};

/// The best score.
pub const SCORES: usize = 5;

/// Which values are the good ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Large values, as for frequency and money.
    #[default]
    LargerIsBetter,
    /// Small values, as for days since the last purchase.
    SmallerIsBetter,
}

/// How values become scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Method {
    /// Cut at the quantiles of the values themselves.
    #[default]
    Quantile,
    /// Parts of equal size.
    Ntile,
    /// Cut at these points, which rise.
    CutPoints(Vec<f64>),
}

impl Direction {
    /// The value so that larger is better.
    fn goodness(self, value: f64) -> f64 {
        match self {
            Self::LargerIsBetter => value,
            Self::SmallerIsBetter => -value,
        }
    }
}

/// The points that cut the values into so many buckets of equal share: quantiles of type 7.
///
/// NaN is left out. Nothing to cut gives no cut points.
pub fn quantile_cuts(values: &[f64], buckets: usize) -> Vec<f64> {
    let mut placed: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let Some(gaps) = placed.len().checked_sub(1) else {
        return Vec::new();
    };
    // Whole numbers keep a quantile that falls on a value exactly there.
    let cut = |bucket: usize| (gaps * bucket / buckets, gaps * bucket % buckets);
    let mut places: Vec<usize> =
        (1..buckets).map(cut).flat_map(|(index, _)| [index, (index + 1).min(gaps)]).collect();
    places.sort_unstable();
    places.dedup();
    place_ranks(&mut placed, &places, &f64::total_cmp);
    (1..buckets)
        .map(|bucket| {
            let (index, rest) = cut(bucket);
            let low = placed[index];
            let high = placed[(index + 1).min(gaps)];
            if rest == 0 || low == high {
                return low;
            }
            let between = low + (high - low) * (rest as f64 / buckets as f64);
            if between.is_finite() { between } else { low }
        })
        .collect()
}

/// 1 + cut points that the value is strictly better than; the cut points rise.
///
/// For [`Direction::SmallerIsBetter`] the value must be strictly below a cut point.
pub fn score(value: f64, cuts: &[f64], direction: Direction) -> i32 {
    let better = |&&cut: &&f64| direction.goodness(value) > direction.goodness(cut);
    1 + cuts.iter().filter(better).count() as i32
}

/// The scores of all values; NaN has none.
pub fn scores(values: &[f64], direction: Direction, method: &Method) -> Vec<Option<i32>> {
    let goodness: Vec<f64> = values.iter().map(|&value| direction.goodness(value)).collect();
    let scored = |&value: &f64, cuts: &[f64], direction| {
        (!value.is_nan()).then(|| score(value, cuts, direction))
    };
    match method {
        Method::Quantile => {
            let cuts = quantile_cuts(&goodness, SCORES);
            let larger = Direction::LargerIsBetter;
            goodness.iter().map(|value| scored(value, &cuts, larger)).collect()
        }
        Method::CutPoints(cuts) => {
            values.iter().map(|value| scored(value, cuts, direction)).collect()
        }
        Method::Ntile => equal_parts(&goodness),
    }
}

/// Parts of equal size in rising order, larger parts first, ties in the order of the rows.
fn equal_parts(goodness: &[f64]) -> Vec<Option<i32>> {
    // Zero and minus zero are the same amount.
    let with_row = goodness.iter().map(|good| good + 0.0).zip(0..);
    let mut rows: Vec<(f64, usize)> = with_row.filter(|(good, _)| !good.is_nan()).collect();
    let compare = |left: &(f64, usize), right: &(f64, usize)| {
        left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))
    };
    let mut tiles = vec![None; goodness.len()];
    ntiles(&mut rows, SCORES as u64, compare, |&(_, row), part| {
        tiles[row] = i32::try_from(part).ok();
    });
    tiles
}

/// The window function `rfm_score`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RfmScoreFunction {
    signature: Signature,
}

impl Default for RfmScoreFunction {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

const WANTED: &str = "'asc' or 'desc', then 'quantile', 'ntile' or up to four rising cut points";

fn check_value(data_type: Option<&DataType>) -> Result<()> {
    match data_type {
        Some(number) if number.is_numeric() || number == &DataType::Null => Ok(()),
        Some(other) => Err(WORDING.wrong("value", other, "a number")),
        None => Err(WORDING.wrong("value", "no arguments", "a number")),
    }
}

fn parse(arguments: &[Argument]) -> Result<(Direction, Method)> {
    check_value(arguments.first().map(|value| &value.data_type))?;
    let (mut direction, mut method) = (None, None);
    for argument in &arguments[1..] {
        let value = WORDING.literal("direction or method", argument, WANTED)?;
        let word = value.try_as_str().flatten().map(str::to_ascii_lowercase);
        match word.as_deref() {
            Some("asc") if direction.is_none() => direction = Some(Direction::LargerIsBetter),
            Some("desc") if direction.is_none() => direction = Some(Direction::SmallerIsBetter),
            Some("quantile") if method.is_none() => method = Some(Method::Quantile),
            Some("ntile") if method.is_none() => method = Some(Method::Ntile),
            None if method.is_none() => method = Some(Method::CutPoints(cut_points(value)?)),
            _ => return Err(WORDING.wrong("direction or method", value, WANTED)),
        }
    }
    Ok((direction.unwrap_or_default(), method.unwrap_or_default()))
}

fn cut_points(value: &ScalarValue) -> Result<Vec<f64>> {
    let wrong = || WORDING.wrong("method", value, WANTED);
    let items = match value {
        ScalarValue::List(list) if list.len() == 1 => list.value(0),
        ScalarValue::LargeList(list) if list.len() == 1 => list.value(0),
        ScalarValue::FixedSizeList(list) if list.len() == 1 => list.value(0),
        _ => return Err(wrong()),
    };
    if !items.data_type().is_numeric() {
        return Err(wrong());
    }
    let cuts = numbers(&items)?;
    let rising = cuts.windows(2).all(|pair| pair[0] < pair[1]);
    let usable = rising && !cuts.is_empty() && cuts.len() < SCORES;
    if !usable || cuts.iter().any(|cut| cut.is_nan()) {
        return Err(wrong());
    }
    Ok(cuts)
}

/// The numbers of a column; NULL becomes NaN, which has no score.
fn numbers(column: &ArrayRef) -> Result<Vec<f64>> {
    let floats = cast(column, &DataType::Float64)?;
    let floats: &Float64Array = floats.as_primitive::<Float64Type>();
    Ok(floats.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

impl WindowUDFImpl for RfmScoreFunction {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        check_value(args.input_fields().first().map(|field| field.data_type()))?;
        Ok(Arc::new(Field::new(args.name(), DataType::Int32, true)))
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        Some(arguments::check_window(|arguments| parse(arguments).map(|_| ())))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let arguments = arguments::of_physical(args.input_exprs(), args.input_fields());
        let (direction, method) = parse(&arguments)?;
        Ok(Box::new(RfmScoreEvaluator { direction, method }))
    }
}

#[derive(Debug)]
struct RfmScoreEvaluator {
    direction: Direction,
    method: Method,
}

impl PartitionEvaluator for RfmScoreEvaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _num_rows: usize) -> Result<ArrayRef> {
        let values = numbers(&values[0])?;
        Ok(Arc::new(Int32Array::from(scores(&values, self.direction, &self.method))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile_scores(values: &[f64], direction: Direction) -> Vec<i32> {
        scores(values, direction, &Method::Quantile).into_iter().flatten().collect()
    }

    #[test]
    fn cuts_are_quantiles_of_type_seven() {
        // The same as numpy.quantile([1, 2, 4, 8, 16, 32], [0.2, 0.4, 0.6, 0.8]).
        assert_eq!(quantile_cuts(&[32.0, 1.0, 2.0, 4.0, 8.0, 16.0], 5), [2.0, 4.0, 8.0, 16.0]);
        assert_eq!(quantile_cuts(&[1.0, 2.0], 5), [1.2, 1.4, 1.6, 1.8]);
        assert_eq!(quantile_cuts(&[], 5), [0.0; 0]);
        assert_eq!(quantile_cuts(&[3.0, f64::NAN], 5), [3.0; 4]);
    }

    #[test]
    fn ties_stay_together_and_few_values_give_few_scores() {
        let larger = Direction::LargerIsBetter;
        assert_eq!(quantile_scores(&[7.0; 9], larger), [1; 9]);
        assert_eq!(quantile_scores(&[1.0, 1.0, 1.0, 1.0, 1.0, 9.0], larger), [1, 1, 1, 1, 1, 5]);
        assert_eq!(quantile_scores(&[1.0, 2.0, 3.0, 4.0, 5.0], larger), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn descending_is_the_score_of_the_negated_value() {
        let values = [3.0, 9.0, 9.0, 1.0, 4.0, 4.0, 0.0];
        let negated: Vec<f64> = values.iter().map(|value| -value).collect();
        assert_eq!(
            quantile_scores(&values, Direction::SmallerIsBetter),
            quantile_scores(&negated, Direction::LargerIsBetter)
        );
    }

    #[test]
    fn cut_points_are_not_exceeded_by_equal_values() {
        let method = Method::CutPoints(vec![10.0, 20.0]);
        let values = [10.0, 10.5, 20.0, 21.0, f64::NAN];
        let larger = scores(&values, Direction::LargerIsBetter, &method);
        assert_eq!(larger, [Some(1), Some(2), Some(2), Some(3), None]);
        let smaller = scores(&values, Direction::SmallerIsBetter, &method);
        assert_eq!(smaller, [Some(2), Some(2), Some(1), Some(1), None]);
    }

    #[test]
    fn ntile_makes_equal_parts_and_larger_ones_first() {
        let values: Vec<f64> = (0..7).map(f64::from).collect();
        let tiles = scores(&values, Direction::LargerIsBetter, &Method::Ntile);
        assert_eq!(tiles.into_iter().flatten().collect::<Vec<_>>(), [1, 1, 2, 2, 3, 4, 5]);
        let tied = scores(&[-0.0, 0.0, 0.0, -0.0, 0.0], Direction::SmallerIsBetter, &Method::Ntile);
        assert_eq!(tied.into_iter().flatten().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn extreme_values_have_finite_scores() {
        let values = [f64::MIN, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 0.0];
        assert_eq!(quantile_scores(&values, Direction::LargerIsBetter), [2, 4, 5, 1, 3]);
        assert_eq!(quantile_scores(&values[..2], Direction::LargerIsBetter).len(), 2);
    }
}

//! Days, weeks and other steps of time: numbered without computing them row by row.
//!
//! An expression that never falls while time goes on is a staircase. Each of its steps is found
//! once, by asking the expression; then a row's step is known from its time by comparing.

use crate::walk::distinct::values::ValueNumbers;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use std::sync::Arc;

type Expression = Arc<dyn PhysicalExpr>;

/// Steps are looked for between these times, in µs: about 2,280 years before and after 1970, far
/// from where numbers end.
const TIME_MAX: i64 = 1 << 56;
/// Numbers in an expression are below this, for the same reason.
const NUMBER_MAX: i64 = 1 << 60;
/// With more steps than this, comparing is no quicker than computing.
const STEPS_MAX: usize = 1 << 14;
/// At how many times at once the expression is asked while the end of a step is looked for.
const PROBES: i64 = 128;

/// The steps of one expression.
pub(super) struct TimeSteps {
    /// The column of times in a batch.
    column: usize,
    /// The expression; its column 0 is the time.
    expression: Expression,
    schema: SchemaRef,
    /// In order of time.
    steps: Vec<Step>,
    grid: Option<Grid>,
}

/// Steps of one length side by side, such as days: found by a division.
struct Grid {
    origin: i64,
    length: i64,
    per_length: f64,
    /// One more than the number of the step at each place; 0 is none that is known.
    numbers: Vec<u32>,
    /// How many steps are on it, and how many are not.
    on: usize,
    off: usize,
}

/// So many steps may lie before the first one that is found.
const GRID_BEFORE: i64 = 1 << 12;

impl Grid {
    fn new(first: Step) -> Self {
        let length = first.last - first.first + 1;
        let origin = first.first.saturating_sub(length.saturating_mul(GRID_BEFORE));
        Self { origin, length, per_length: 1.0 / length as f64, numbers: Vec::new(), on: 0, off: 0 }
    }

    /// Writes the numbers of these times, up to the first one whose step is not known; how many were
    /// written. Without a division, so a time beside the end of a step may be missed.
    fn numbers_until_unknown(&self, times: &[i64], into: &mut [u32]) -> usize {
        let (origin, length, per_length) = (self.origin, self.length, self.per_length);
        let numbers = self.numbers.as_slice();
        let number = |ts: i64| {
            let since = ts.wrapping_sub(origin);
            let place = (since as f64 * per_length) as u32;
            let number = numbers.get(place as usize)?.checked_sub(1)?;
            let into_step = since.wrapping_sub(i64::from(place).wrapping_mul(length));
            (0..length).contains(&into_step).then_some(number)
        };
        for (row, (&ts, into)) in times.iter().zip(into).enumerate() {
            match number(ts) {
                Some(number) => *into = number,
                None => return row,
            }
        }
        times.len()
    }

    fn place(&self, ts: i64) -> Option<usize> {
        // Both are far from where numbers end, whatever the time.
        let since = ts.checked_sub(self.origin)?;
        usize::try_from(since / self.length).ok().filter(|_| since >= 0)
    }

    fn find(&self, ts: i64) -> Option<Step> {
        let place = self.place(ts)?;
        let number = self.numbers.get(place)?.checked_sub(1)?;
        let first = self.origin + place as i64 * self.length;
        Some(Step { first, last: first + self.length - 1, number })
    }

    fn add(&mut self, step: Step) {
        let is_whole = step.last - step.first + 1 == self.length
            && (step.first - self.origin) % self.length == 0;
        match self.place(step.first).filter(|place| is_whole && *place < STEPS_MAX) {
            Some(place) => {
                self.numbers.resize(self.numbers.len().max(place + 1), 0);
                self.numbers[place] = step.number + 1;
                self.on += 1;
            }
            None => self.off += 1,
        }
    }
}

#[derive(Clone, Copy)]
struct Step {
    first: i64,
    last: i64,
    number: u32,
}

impl TimeSteps {
    /// The steps of this expression over rows of this schema; `None` when it is none of which we
    /// know that it never falls.
    pub(super) fn of(expression: &Expression, schema: &Schema) -> Option<Self> {
        let column = rising_column(expression, schema).filter(|_| !expression.is::<Column>())?;
        let time = Arc::new(schema.field(column).clone().with_name("time"));
        let moved = Arc::clone(expression).transform_up(|part| {
            Ok(match part.is::<Column>() {
                true => Transformed::yes(Arc::new(Column::new("time", 0)) as Expression),
                false => Transformed::no(part),
            })
        });
        let schema = Arc::new(Schema::new(vec![time]));
        Some(Self { column, expression: moved.ok()?.data, schema, steps: Vec::new(), grid: None })
    }

    /// Adds the number of each row's step; `false` when there are too many, or a time is NULL or
    /// too far away: then nothing was added.
    pub(super) fn number(
        &mut self,
        batch: &RecordBatch,
        values: &mut ValueNumbers,
        into: &mut Vec<u32>,
    ) -> Result<bool> {
        let times = batch.column(self.column).as_primitive::<TimestampMicrosecondType>();
        if times.null_count() > 0 || self.steps.len() > STEPS_MAX {
            return Ok(false);
        }
        let start = into.len();
        into.resize(start + times.len(), 0);
        let mut row = 0;
        loop {
            if let Some(grid) = &self.grid {
                row += grid.numbers_until_unknown(&times.values()[row..], &mut into[start + row..]);
            }
            let Some(&ts) = times.values().get(row) else {
                return Ok(true);
            };
            let Some(step) = self.looked_for(ts, values)? else {
                into.truncate(start);
                return Ok(false);
            };
            into[start + row] = step.number;
            row += 1;
        }
    }

    fn looked_for(&mut self, ts: i64, values: &mut ValueNumbers) -> Result<Option<Step>> {
        let on_grid = self.grid.as_ref().and_then(|grid| grid.find(ts));
        match on_grid.or_else(|| self.find(ts)) {
            Some(found) => Ok(Some(found)),
            None => self.discover(ts, values),
        }
    }

    fn find(&self, ts: i64) -> Option<Step> {
        let after = self.steps.partition_point(|step| step.first <= ts);
        let step = *self.steps.get(after.checked_sub(1)?)?;
        (ts <= step.last).then_some(step)
    }

    /// Finds the step of a time that lies on none of those that are known.
    fn discover(&mut self, ts: i64, values: &mut ValueNumbers) -> Result<Option<Step>> {
        if !(-TIME_MAX..TIME_MAX).contains(&ts) || self.steps.len() > STEPS_MAX {
            return Ok(None);
        }
        let after = self.steps.partition_point(|step| step.first <= ts);
        let lowest = after.checked_sub(1).map_or(-TIME_MAX, |place| self.steps[place].last + 1);
        let highest = self.steps.get(after).map_or(TIME_MAX, |step| step.first - 1);
        let value = self.values_at(&[ts])?;
        let span = match self.like_a_neighbour(ts, lowest, highest, &value)? {
            Some(span) => span,
            None => {
                let value = ScalarValue::try_from_array(&value, 0)?;
                let first = self.end(ts, lowest, -1, &value)?;
                (first, self.end(ts, highest, 1, &value)?)
            }
        };
        let mut number = Vec::with_capacity(1);
        values.number(&value, &mut number)?;
        let step = Step { first: span.0, last: span.1, number: number[0] };
        self.steps.insert(after, step);
        self.place_on_grid(step);
        Ok(Some(step))
    }

    fn place_on_grid(&mut self, step: Step) {
        let grid = self.grid.get_or_insert_with(|| Grid::new(step));
        grid.add(step);
        // The first step may have been an odd one: a division cuts towards zero, so the step around
        // zero is twice as long as the others. Where all are odd, it is not tried too often.
        if grid.off > grid.on && self.steps.len().is_power_of_two() {
            *grid = Grid::new(step);
            self.steps.iter().for_each(|step| grid.add(*step));
        }
    }

    /// The step as long as one that is known and a whole number of lengths away, if there it is.
    fn like_a_neighbour(
        &self,
        ts: i64,
        lowest: i64,
        highest: i64,
        value: &ArrayRef,
    ) -> Result<Option<(i64, i64)>> {
        let place = self.steps.partition_point(|step| step.first <= ts);
        let Some(known) = self.steps.get(place.saturating_sub(1)) else {
            return Ok(None);
        };
        let length = known.last - known.first + 1;
        let first = known.first + (ts - known.first).div_euclid(length) * length;
        let last = first + length - 1;
        if first - 1 < lowest.max(-TIME_MAX + 1) - 1 || last + 1 > highest.min(TIME_MAX - 1) + 1 {
            return Ok(None);
        }
        let at = self.values_at(&[first - 1, first, last, last + 1])?;
        let value = ScalarValue::try_from_array(value, 0)?;
        let is_value = |place| {
            Ok::<_, datafusion::error::DataFusionError>(
                ScalarValue::try_from_array(&at, place)? == value,
            )
        };
        let is_step = !is_value(0)? && is_value(1)? && is_value(2)? && !is_value(3)?;
        Ok(is_step.then_some((first, last)))
    }

    /// The last time in a direction, no farther than `limit`, at which the expression still has
    /// this value.
    fn end(&self, ts: i64, limit: i64, direction: i64, value: &ScalarValue) -> Result<i64> {
        let (mut inside, mut distance) = (ts, 1_000_000);
        // First farther and farther, then closer and closer.
        let mut outside = loop {
            let next = match direction > 0 {
                true => ts.saturating_add(distance).min(limit),
                false => ts.saturating_sub(distance).max(limit),
            };
            let at = self.values_at(&[next])?;
            if ScalarValue::try_from_array(&at, 0)? != *value {
                break next;
            }
            inside = next;
            if next == limit {
                return Ok(limit);
            }
            distance *= 16;
        };
        while (outside - inside).abs() > 1 {
            let gap = (outside - inside).abs();
            let probes = (1..PROBES).map(|probe| {
                let part = i128::from(gap) * i128::from(probe) / i128::from(PROBES);
                inside + direction * part as i64
            });
            let probes = probes.filter(|&probe| probe != inside).collect::<Vec<_>>();
            let at = self.values_at(&probes)?;
            for (place, &probe) in probes.iter().enumerate() {
                if ScalarValue::try_from_array(&at, place)? == *value {
                    inside = probe;
                } else {
                    outside = probe;
                    break;
                }
            }
        }
        Ok(inside)
    }

    fn values_at(&self, times: &[i64]) -> Result<ArrayRef> {
        let times = TimestampMicrosecondArray::from(times.to_vec());
        let times = match self.schema.field(0).data_type() {
            DataType::Timestamp(_, zone) => times.with_timezone_opt(zone.clone()),
            _ => times,
        };
        let rows = times.len();
        let batch = RecordBatch::try_new(self.schema.clone(), vec![Arc::new(times)])?;
        self.expression.evaluate(&batch)?.into_array(rows)
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        let grid = self.grid.as_ref().map_or(0, |grid| grid.numbers.capacity());
        self.steps.capacity() * size_of::<Step>() + grid * size_of::<u32>()
    }
}

/// The only column of an expression, a time, when the expression never falls while it grows.
pub(super) fn rising_column(expression: &Expression, schema: &Schema) -> Option<usize> {
    if let Some(column) = expression.downcast_ref::<Column>() {
        let data_type = schema.field(column.index()).data_type();
        let is_time = matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, zone)
            if zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00")));
        return is_time.then_some(column.index());
    }
    if let Some(cast) = expression.downcast_ref::<CastExpr>() {
        let from = cast.expr().data_type(schema).ok()?;
        let rises = match (from, cast.cast_type()) {
            (DataType::Timestamp(..), DataType::Int64 | DataType::Date32) => true,
            (DataType::Timestamp(_, _), DataType::Timestamp(_, zone)) => {
                zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00"))
            }
            (DataType::Date32, DataType::Int32 | DataType::Int64) => true,
            _ => false,
        };
        return rising_column(cast.expr(), schema).filter(|_| rises);
    }
    if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
        let is_whole = binary.left().data_type(schema).ok()? == DataType::Int64;
        let number = whole_literal(binary.right()).filter(|_| is_whole)?;
        let rises = match binary.op() {
            Operator::Plus | Operator::Minus => number.abs() < NUMBER_MAX,
            Operator::Divide => number > 0,
            _ => false,
        };
        return rising_column(binary.left(), schema).filter(|_| rises);
    }
    let call = expression.downcast_ref::<ScalarFunctionExpr>()?;
    // Their first argument says how long steps are.
    let rises = matches!(call.name(), "date_trunc" | "date_bin");
    let [length, time] = call.args() else {
        return None;
    };
    rising_column(time, schema).filter(|_| rises && length.is::<Literal>())
}

fn whole_literal(expression: &Expression) -> Option<i64> {
    match expression.downcast_ref::<Literal>()?.value() {
        ScalarValue::Int64(number) => *number,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::physical_expr::expressions::{binary, cast, col, lit};

    fn schema() -> Schema {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Schema::new(vec![Field::new("event", DataType::Utf8, true), Field::new("ts", time, false)])
    }

    fn divided(by: i64) -> Expression {
        let schema = schema();
        let whole = cast(col("ts", &schema).unwrap(), &schema, DataType::Int64).unwrap();
        let since = binary(whole, Operator::Minus, lit(1_000_000_i64), &schema).unwrap();
        binary(since, Operator::Divide, lit(by), &schema).unwrap()
    }

    fn numbers(expression: &Expression, times: &[i64]) -> Option<Vec<u32>> {
        let mut steps = TimeSteps::of(expression, &schema())?;
        let mut values = ValueNumbers::new(&expression.data_type(&schema()).unwrap()).unwrap();
        let mut into = Vec::new();
        for times in times.chunks(7) {
            let ts = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
            let texts = arrow::array::new_null_array(&DataType::Utf8, times.len());
            let batch = RecordBatch::try_new(Arc::new(schema()), vec![texts, Arc::new(ts)]);
            steps.number(&batch.unwrap(), &mut values, &mut into).unwrap().then_some(())?;
        }
        Some(into)
    }

    // If this fails, customers are counted on the wrong day.
    #[test]
    fn steps_are_those_of_the_expression() {
        let mut state = 7_u64;
        let mut times = (0..3000).map(|place| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as i64 * 997 - 4_000_000_000 + place % 3
        });
        // Around zero division goes towards it: the step there is twice as long.
        let times = times.by_ref().chain([999_999, 0, 1_000_000, 2_000_001]).collect::<Vec<_>>();
        for by in [1_000_000, 86_400_000, 7_000_003] {
            let expression = divided(by);
            let mut expected = Vec::<i64>::new();
            let expected = times.iter().map(|ts| {
                let value = (ts - 1_000_000) / by;
                let known = expected.iter().position(|known| *known == value);
                known.unwrap_or_else(|| {
                    expected.push(value);
                    expected.len() - 1
                }) as u32
            });
            assert_eq!(numbers(&expression, &times).unwrap(), expected.collect::<Vec<_>>());
        }
    }

    // If this fails, every time is looked for among all steps.
    #[test]
    fn an_odd_first_step_does_not_make_the_grid() {
        let mut steps = TimeSteps::of(&divided(1_000), &schema()).unwrap();
        let mut values = ValueNumbers::new(&DataType::Int64).unwrap();
        for ts in (0..20).map(|step| 1_000_000 + step * 1_000) {
            steps.looked_for(ts, &mut values).unwrap();
        }
        let grid = steps.grid.as_ref().unwrap();
        assert_eq!((grid.length, grid.on, grid.off), (1_000, 19, 1));
        let mut numbers = [9; 3];
        assert_eq!(grid.numbers_until_unknown(&[1_007_500, 1_019_999, 1_020_000], &mut numbers), 2);
        assert_eq!(numbers, [7, 19, 9]);
    }

    #[test]
    fn what_may_fall_has_no_steps() {
        let schema = schema();
        let remainder = binary(divided(1000), Operator::Modulo, lit(7_i64), &schema).unwrap();
        assert!(TimeSteps::of(&remainder, &schema).is_none());
        assert!(TimeSteps::of(&divided(-5), &schema).is_none());
        assert!(TimeSteps::of(&col("ts", &schema).unwrap(), &schema).is_none());
        assert!(numbers(&divided(1000), &[i64::MAX]).is_none());
        assert!(numbers(&divided(1000), &[i64::MIN]).is_none());
    }
}

//! Numbers for tuples of values: dense, from 0, in the order in which tuples are first seen.

use crate::walk::distinct::steps::TimeSteps;
use crate::walk::distinct::values::ValueNumbers;
use crate::walk::small_hash::SmallMap;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Schema;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

/// Gives tuples numbers. Columns are numbered one by one, and then pairs of numbers, so that no
/// tuple is ever compared as a whole.
pub(super) struct TupleNumbers {
    columns: Vec<ValueNumbers>,
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// By column: its steps of time, if it has any.
    steps: Vec<Option<TimeSteps>>,
    /// Joins the number of the columns so far with that of the next one.
    pairs: Vec<PairNumbers>,
    /// By column, then by tuple: the number of the value.
    values: Vec<Vec<u32>>,
    /// By column: the numbers of a batch.
    batch: Vec<Vec<u32>>,
    /// The tuple of each row of the batch.
    tuples: Vec<u32>,
}

impl TupleNumbers {
    /// Tuples of these expressions, at least one, over rows of this schema.
    pub(super) fn new(expressions: Vec<Arc<dyn PhysicalExpr>>, schema: &Schema) -> Result<Self> {
        let columns = expressions.iter();
        let columns = columns.map(|expression| ValueNumbers::new(&expression.data_type(schema)?));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let steps = expressions.iter().map(|expression| TimeSteps::of(expression, schema));
        let steps = steps.collect();
        let (width, pairs) =
            (columns.len(), columns.iter().skip(1).map(|_| PairNumbers::default()));
        Ok(Self {
            pairs: pairs.collect(),
            columns,
            expressions,
            steps,
            values: vec![Vec::new(); width],
            batch: vec![Vec::new(); width],
            tuples: Vec::new(),
        })
    }

    /// How many tuples have a number.
    pub(super) fn len(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// The tuples of the batch that was numbered last, by row; all below [`Self::len`].
    pub(super) fn of_batch(&self) -> &[u32] {
        &self.tuples
    }

    /// Finds the tuple of each row.
    pub(super) fn number(&mut self, batch: &RecordBatch) -> Result<()> {
        for (column, numbers) in self.batch.iter_mut().enumerate() {
            numbers.clear();
            let known = &mut self.columns[column];
            if let Some(steps) = &mut self.steps[column]
                && steps.number(batch, known, numbers)?
            {
                continue;
            }
            let values = self.expressions[column].evaluate(batch)?;
            known.number(&values.into_array(batch.num_rows())?, numbers)?;
        }
        self.tuples.clear();
        self.tuples.extend_from_slice(self.batch.first().map_or(&[][..], Vec::as_slice));
        for (pairs, numbers) in self.pairs.iter_mut().zip(&self.batch[1..]) {
            pairs.join(&mut self.tuples, numbers);
        }
        self.remember();
        Ok(())
    }

    /// Keeps what the new tuples of the batch consist of.
    fn remember(&mut self) {
        let most = self.tuples.iter().copied().max();
        if most.is_none_or(|most| (most as usize) < self.len()) {
            return;
        }
        for (row, &tuple) in self.tuples.iter().enumerate() {
            if tuple as usize == self.values[0].len() {
                for (values, numbers) in self.values.iter_mut().zip(&self.batch) {
                    values.push(numbers[row]);
                }
            }
        }
    }

    /// The columns of all tuples, in the order of their numbers. No tuple can follow.
    pub(super) fn into_columns(self) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.into_iter().zip(self.values).map(|(column, values)| {
            Ok(take(&column.into_values()?, &UInt32Array::from(values), None)?)
        });
        columns.collect()
    }

    /// About how many bytes are held.
    pub(super) fn size(&self) -> usize {
        let numbers = self.values.iter().chain(&self.batch).map(|numbers| numbers.capacity() * 4);
        numbers.sum::<usize>()
            + self.columns.iter().map(ValueNumbers::size).sum::<usize>()
            + self.steps.iter().flatten().map(TimeSteps::size).sum::<usize>()
            + self.pairs.iter().map(PairNumbers::size).sum::<usize>()
    }
}

/// Numbers for pairs of numbers.
#[derive(Default)]
struct PairNumbers {
    /// By the left number, then by the right one: the number of the pair, and one more than that;
    /// for as long as numbers are small.
    table: Vec<u32>,
    width: usize,
    known: SmallMap<u64>,
    next: u32,
}

/// With more places than this the table is too large to be a good one.
const PLACES_MAX: usize = 1 << 20;

impl PairNumbers {
    fn join(&mut self, left: &mut [u32], right: &[u32]) {
        self.make_room(left, right);
        if self.table.is_empty() {
            left.iter_mut().zip(right).for_each(|(left, &right)| *left = self.hashed(*left, right));
            return;
        }
        for (left, &right) in left.iter_mut().zip(right) {
            let place = &mut self.table[*left as usize * self.width + right as usize];
            if *place == 0 {
                self.next += 1;
                *place = self.next;
            }
            *left = *place - 1;
        }
    }

    /// Makes the table large enough, or goes over to hashing.
    fn make_room(&mut self, left: &[u32], right: &[u32]) {
        let most = |numbers: &[u32]| numbers.iter().max().map_or(0, |most| *most as usize + 1);
        let (height, width) = (most(left), most(right).max(self.width));
        let is_hashed = self.table.is_empty() && self.next > 0;
        let rows = self.table.len().checked_div(self.width).unwrap_or(0).max(height);
        if is_hashed || (rows * self.width == self.table.len() && width == self.width) {
            return;
        }
        let width = width.next_power_of_two();
        let rows = rows.next_power_of_two();
        let old = std::mem::take(&mut self.table);
        let old_width = std::mem::replace(&mut self.width, width);
        let fits = rows.saturating_mul(width) <= PLACES_MAX;
        if fits {
            self.table = vec![0; rows * width];
        }
        for (place, number) in old.into_iter().enumerate().filter(|(_, number)| *number > 0) {
            let (left, right) = (place / old_width, place % old_width);
            match fits {
                true => self.table[left * width + right] = number,
                false => {
                    self.known.insert(pair(left as u32, right as u32), number - 1);
                }
            }
        }
    }

    fn hashed(&mut self, left: u32, right: u32) -> u32 {
        let next = &mut self.next;
        *self.known.entry(pair(left, right)).or_insert_with(|| {
            *next += 1;
            *next - 1
        })
    }

    fn size(&self) -> usize {
        self.known.capacity() * 16 + self.table.capacity() * size_of::<u32>()
    }
}

fn pair(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn pairs_have_the_same_numbers_in_a_table_and_hashed() {
        let mut pairs = PairNumbers::default();
        let mut expected = HashMap::new();
        let mut state = 3_u64;
        for most in [2, 5, 40, 3000, 10, 100_000] {
            let mut number = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 33) % most) as u32
            };
            let left = (0..500).map(|_| number()).collect::<Vec<_>>();
            let right = (0..500).map(|_| number() / 2).collect::<Vec<_>>();
            let wanted = left.iter().zip(&right).map(|(&left, &right)| {
                let next = expected.len() as u32;
                *expected.entry((left, right)).or_insert(next)
            });
            let wanted = wanted.collect::<Vec<_>>();
            let mut found = left.clone();
            pairs.join(&mut found, &right);
            assert_eq!(found, wanted);
        }
        assert!(pairs.table.is_empty() && !pairs.known.is_empty());
    }
}

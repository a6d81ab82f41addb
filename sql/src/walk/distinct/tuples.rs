//! Numbers for tuples of values: dense, from 0, in the order in which tuples are first seen.

use crate::walk::distinct::values::ValueNumbers;
use crate::walk::small_hash::SmallMap;
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::error::Result;

/// Gives tuples numbers. Columns are numbered one by one, and then pairs of numbers, so that no
/// tuple is ever compared as a whole.
pub(super) struct TupleNumbers {
    columns: Vec<ValueNumbers>,
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
    /// Tuples of values of these types, at least one.
    pub(super) fn new(types: &[DataType]) -> Result<Self> {
        let columns = types.iter().map(ValueNumbers::new).collect::<Result<Vec<_>>>()?;
        let (width, pairs) =
            (columns.len(), columns.iter().skip(1).map(|_| PairNumbers::default()));
        Ok(Self {
            pairs: pairs.collect(),
            columns,
            values: vec![Vec::new(); width],
            batch: vec![Vec::new(); width],
            tuples: Vec::new(),
        })
    }

    /// How many tuples have a number.
    pub(super) fn len(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// The tuple of each row.
    pub(super) fn number(&mut self, columns: &[ArrayRef]) -> Result<&[u32]> {
        for ((known, values), numbers) in self.columns.iter_mut().zip(columns).zip(&mut self.batch)
        {
            numbers.clear();
            known.number(values, numbers)?;
        }
        self.tuples.clear();
        self.tuples.extend_from_slice(self.batch.first().map_or(&[][..], Vec::as_slice));
        for (pairs, numbers) in self.pairs.iter_mut().zip(&self.batch[1..]) {
            pairs.join(&mut self.tuples, numbers);
        }
        for (row, &tuple) in self.tuples.iter().enumerate() {
            if tuple as usize == self.values[0].len() {
                for (values, numbers) in self.values.iter_mut().zip(&self.batch) {
                    values.push(numbers[row]);
                }
            }
        }
        Ok(&self.tuples)
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
            + self.pairs.iter().map(|pairs| pairs.known.capacity() * 16).sum::<usize>()
    }
}

/// Numbers for pairs of numbers.
#[derive(Default)]
struct PairNumbers {
    known: SmallMap<u64>,
    last: Option<(u64, u32)>,
}

impl PairNumbers {
    fn join(&mut self, left: &mut [u32], right: &[u32]) {
        for (left, &right) in left.iter_mut().zip(right) {
            let pair = (u64::from(*left) << 32) | u64::from(right);
            // Rows of one session mostly say the same.
            *left = match self.last {
                Some((last, number)) if last == pair => number,
                _ => {
                    let next = self.known.len() as u32;
                    let number = *self.known.entry(pair).or_insert(next);
                    self.last = Some((pair, number));
                    number
                }
            };
        }
    }
}

//! One column of one data file, decoded and compact.

use crate::hot::labels::Labels;
use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{
    DataType, Decimal128Type, TimestampMicrosecondType, ToByteSlice, UInt32Type,
};
use habitue_storage::event::{IDENTIFIER_ID, decimal_type, label_type, timestamp_type};
use std::ops::Range;

/// How a column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Time,
    Identifier,
    Decimal,
    Label,
}

impl ColumnKind {
    /// The kind of a column of data files; `None` for those that are too wide to be kept.
    pub(crate) fn of(name: &str, in_file: &DataType) -> Option<Self> {
        match in_file {
            _ if name == IDENTIFIER_ID => Some(Self::Identifier),
            found if *found == timestamp_type() => Some(Self::Time),
            found if *found == decimal_type() => Some(Self::Decimal),
            found if *found == label_type() => Some(Self::Label),
            _ => None,
        }
    }

    /// About how many bytes a row takes.
    pub(crate) fn bytes_per_row(self) -> usize {
        match self {
            Self::Time => 8,
            Self::Identifier | Self::Decimal => 4,
            Self::Label => 2,
        }
    }
}

/// A decoded column.
#[derive(Debug)]
pub(crate) enum HotColumn {
    /// µs since the epoch; never NULL. Parts of them are handed out without a copy.
    Times(ScalarBuffer<i64>),
    /// Identifiers; rows without one are the last of a file and stand for themselves.
    Identifiers(Vec<u32>),
    /// For each row of an arrangement its row in the files.
    Order(Vec<u32>),
    /// Decimals of up to 18 digits.
    Decimals(Numbers),
    /// Texts with few distinct values.
    Labels(Labels),
}

impl HotColumn {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Times(times) => times.inner().capacity(),
            Self::Identifiers(numbers) | Self::Order(numbers) => {
                numbers.capacity() * size_of::<u32>()
            }
            Self::Decimals(numbers) => numbers.bytes(),
            Self::Labels(labels) => labels.bytes(),
        }
    }

    pub(crate) fn times(&self) -> &[i64] {
        match self {
            Self::Times(times) => times,
            _ => &[],
        }
    }

    /// The times of these rows, not copied.
    pub(crate) fn times_of(&self, rows: Range<usize>) -> Option<ScalarBuffer<i64>> {
        match self {
            Self::Times(times) => Some(times.slice(rows.start, rows.len())),
            _ => None,
        }
    }

    pub(crate) fn order(&self) -> &[u32] {
        match self {
            Self::Order(order) => order,
            _ => &[],
        }
    }

    pub(crate) fn identifiers(&self) -> &[u32] {
        match self {
            Self::Identifiers(identifiers) => identifiers,
            _ => &[],
        }
    }

    pub(crate) fn labels(&self) -> Option<&Labels> {
        match self {
            Self::Labels(labels) => Some(labels),
            _ => None,
        }
    }

    pub(crate) fn numbers(&self) -> Option<&Numbers> {
        match self {
            Self::Decimals(numbers) => Some(numbers),
            _ => None,
        }
    }
}

/// Whole numbers of which many may be NULL: a bit for each row, and the values of those that have
/// one.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    rows: usize,
    present: Vec<u64>,
    /// How many values stand before each word of `present`.
    before: Vec<u32>,
    values: Vec<i64>,
}

impl Numbers {
    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        let (word, bit) = (row / BITS, row % BITS);
        let present = self.present[word];
        if present & (1 << bit) == 0 {
            return None;
        }
        let in_word = (present & ((1 << bit) - 1)).count_ones();
        Some(self.values[(self.before[word] + in_word) as usize])
    }

    /// Calls `found` with those of these rows that have a value, counted from the first one.
    pub(crate) fn for_each(&self, rows: Range<usize>, mut found: impl FnMut(usize, i64)) {
        let mut row = rows.start;
        while row < rows.end {
            let (word, bit) = (row / BITS, row % BITS);
            let end = rows.end.min((word + 1) * BITS);
            let mut left = self.present[word] >> bit;
            if end - row < BITS {
                left &= (1 << (end - row)) - 1;
            }
            if left != 0 {
                let before = self.present[word] & ((1 << bit) - 1);
                let mut place = self.before[word] as usize + before.count_ones() as usize;
                while left != 0 {
                    found(row - rows.start + left.trailing_zeros() as usize, self.values[place]);
                    place += 1;
                    left &= left - 1;
                }
            }
            row = end;
        }
    }

    /// A bit for each row, in bytes.
    pub(crate) fn present(&self) -> &[u8] {
        self.present.to_byte_slice()
    }

    /// The values of several columns one after the other, in this order.
    pub(super) fn arranged(columns: &[&Self], order: &[u32], threads: usize) -> Self {
        let mut all = Self::default();
        columns.iter().for_each(|column| all.append(column));
        if threads <= 1 {
            return all.picked(order);
        }
        // Whole words, so that parts can be put together.
        let part = order.len().div_ceil(threads.max(1)).next_multiple_of(BITS);
        let parts = std::thread::scope(|scope| {
            let all = &all;
            let parts = order.chunks(part.max(BITS));
            let parts = parts.map(|part| scope.spawn(move || all.picked(part)));
            let parts = parts.collect::<Vec<_>>();
            parts.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut arranged = Self::default();
        for part in parts {
            // A panic there is one here.
            let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            arranged.append(&part);
        }
        arranged.values.shrink_to_fit();
        arranged
    }

    /// The values of these rows, in their order.
    fn picked(&self, rows: &[u32]) -> Self {
        let mut picked = Self::default();
        for rows in rows.chunks(BITS) {
            picked.before.push(picked.values.len() as u32);
            let mut word = 0;
            for (bit, &row) in rows.iter().enumerate() {
                let present = self.present[row as usize / BITS] >> (row as usize % BITS) & 1;
                word |= present << bit;
            }
            picked.present.push(word);
            let mut left = word;
            while left != 0 {
                let row = rows[left.trailing_zeros() as usize];
                picked.values.extend(self.get(row as usize));
                left &= left - 1;
            }
        }
        picked.rows = rows.len();
        picked
    }

    /// Adds the rows of another column.
    fn append(&mut self, more: &Self) {
        self.reserve_rows(more.rows);
        let first = self.rows;
        more.for_each(0..more.rows, |row, value| {
            self.present[(first + row) / BITS] |= 1 << ((first + row) % BITS);
            self.values.push(value);
        });
        self.finish_rows(more.rows);
    }

    /// Makes room for so many rows, all of them NULL.
    fn reserve_rows(&mut self, more: usize) {
        self.present.resize((self.rows + more).div_ceil(BITS), 0);
    }

    /// So many rows more are there, whose bits and values were added.
    fn finish_rows(&mut self, more: usize) {
        self.rows += more;
        let known = self.before.len();
        let mut before = match known.checked_sub(1) {
            Some(last) => self.before[last] + self.present[last].count_ones(),
            None => 0,
        };
        for word in &self.present[known..] {
            self.before.push(before);
            before += word.count_ones();
        }
    }

    /// Adds the rows of an array of decimals.
    fn append_decimals(&mut self, more: &PrimitiveArray<Decimal128Type>) -> Result<(), String> {
        let narrow = |value: i128| {
            i64::try_from(value).map_err(|_| "a decimal has more than 18 digits".to_owned())
        };
        self.reserve_rows(more.len());
        let first = self.rows;
        let mut add = |row: usize| {
            self.present[(first + row) / BITS] |= 1 << ((first + row) % BITS);
            self.values.push(narrow(more.value(row))?);
            Ok::<_, String>(())
        };
        match more.nulls() {
            Some(valid) => valid.valid_indices().try_for_each(&mut add)?,
            None => (0..more.len()).try_for_each(&mut add)?,
        }
        self.finish_rows(more.len());
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.present.capacity() * size_of::<u64>()
            + self.before.capacity() * size_of::<u32>()
            + self.values.capacity() * size_of::<i64>()
    }
}

const BITS: usize = u64::BITS as usize;

/// Adds the rows of one batch to a column.
pub(super) fn append(column: &mut HotColumn, more: &dyn Array) -> Result<(), String> {
    match column {
        HotColumn::Times(times) => {
            let more = more.as_primitive::<TimestampMicrosecondType>();
            // Not a copy: nobody else has it yet.
            let mut all = Vec::from(std::mem::take(times));
            all.extend_from_slice(more.values());
            *times = all.into();
        }
        HotColumn::Identifiers(identifiers) => {
            let more = more.as_primitive::<UInt32Type>();
            let known = more.len() - more.null_count();
            if (0..known).any(|row| more.is_null(row)) {
                return Err("rows without an identifier are not the last".into());
            }
            identifiers.extend_from_slice(&more.values()[..known]);
        }
        HotColumn::Decimals(numbers) => {
            numbers.append_decimals(more.as_primitive::<Decimal128Type>())?;
        }
        HotColumn::Labels(labels) => labels.append(more)?,
        HotColumn::Order(_) => return Err("the order of rows is in no file".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[Option<i64>]) -> Numbers {
        let mut numbers = Numbers::default();
        for values in values.chunks(37) {
            let values = values.iter().map(|value| value.map(i128::from));
            numbers.append_decimals(&values.collect()).unwrap();
        }
        numbers
    }

    // If this fails, amounts are those of other events.
    #[test]
    fn numbers_of_several_columns_come_in_another_order() {
        let value = |row: usize| (row % 3 != 1).then_some(row as i64);
        let values = (0..500).map(value).collect::<Vec<_>>();
        let (first, others) = values.split_at(133);
        let (second, third) = others.split_at(5);
        let columns = [first, second, third].map(numbers);
        let order = (0..500_u32).map(|place| place * 7 % 500).collect::<Vec<_>>();
        for threads in 1..4 {
            let arranged = Numbers::arranged(&columns.each_ref(), &order, threads);
            let found = (0..500).map(|row| arranged.get(row)).collect::<Vec<_>>();
            let wanted = order.iter().map(|&row| values[row as usize]).collect::<Vec<_>>();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn decimals_that_are_too_long_are_refused() {
        let array = [Some(1), None, Some(i128::MAX)].into_iter().collect();
        assert!(Numbers::default().append_decimals(&array).is_err());
    }

    #[test]
    fn sparse_numbers_are_found_by_row() {
        let value = |row: usize| (row % 7 == 3 || row > 250).then_some(row as i64 * 10);
        let numbers = numbers(&(0..300).map(value).collect::<Vec<_>>());
        assert!((0..300).all(|row| numbers.get(row) == value(row)));
        assert!(numbers.values.len() < 100);
        for rows in [0..300, 64..128, 3..4, 60..70, 251..300, 300..300] {
            let mut found = Vec::new();
            numbers.for_each(rows.clone(), |row, value| found.push((row, value)));
            let expected = rows.clone().filter_map(|row| Some((row - rows.start, value(row)?)));
            assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}

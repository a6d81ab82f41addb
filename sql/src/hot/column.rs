//! One column of one data file, decoded and compact.

use crate::hot::labels::Labels;
use arrow::array::{Array, AsArray};
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
    pub(crate) fn push(&mut self, value: Option<i64>) {
        let bit = self.rows % BITS;
        if bit == 0 {
            self.present.push(0);
            self.before.push(self.values.len() as u32);
        }
        if let (Some(value), Some(word)) = (value, self.present.last_mut()) {
            *word |= 1 << bit;
            self.values.push(value);
        }
        self.rows += 1;
    }

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
    pub(super) fn arranged(columns: &[&Self], order: &[u32]) -> Self {
        let mut all = Self::default();
        for column in columns {
            (0..column.rows).for_each(|row| all.push(column.get(row)));
        }
        let mut arranged = Self::default();
        order.iter().for_each(|&row| arranged.push(all.get(row as usize)));
        arranged.values.shrink_to_fit();
        arranged
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
            for value in more.as_primitive::<Decimal128Type>() {
                let value = value.map(i64::try_from).transpose();
                numbers.push(value.map_err(|_| "a decimal has more than 18 digits")?);
            }
        }
        HotColumn::Labels(labels) => labels.append(more)?,
        HotColumn::Order(_) => return Err("the order of rows is in no file".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_numbers_are_found_by_row() {
        let mut numbers = Numbers::default();
        let value = |row: usize| (row % 7 == 3 || row > 250).then_some(row as i64 * 10);
        (0..300).for_each(|row| numbers.push(value(row)));
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

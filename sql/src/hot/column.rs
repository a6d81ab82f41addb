//! One column of one data file, decoded and compact.

use crate::hot::labels::Labels;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, TimestampMicrosecondType, UInt32Type};
use habitue_storage::event::{IDENTIFIER_ID, decimal_type, label_type, timestamp_type};

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
    /// µs since the epoch; never NULL.
    Times(Vec<i64>),
    /// Identifiers; rows without one are the last of a file and stand for themselves.
    Identifiers(Vec<u32>),
    /// Decimals of up to 18 digits.
    Decimals(Numbers),
    /// Texts with few distinct values.
    Labels(Labels),
}

impl HotColumn {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Times(times) => times.capacity() * size_of::<i64>(),
            Self::Identifiers(identifiers) => identifiers.capacity() * size_of::<u32>(),
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
            times.extend_from_slice(more.values());
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
    }
}

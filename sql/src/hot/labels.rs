//! Texts with few distinct values: a number for each row and the text of each number.

use crate::hot::arranged::gathered;
use arrow::array::{Array, AsArray, DictionaryArray, StringArray};
use arrow::datatypes::Int32Type;
use std::collections::HashMap;
use std::ops::Range;

/// A column of labels. NULL is a label of its own.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    codes: Codes,
    values: Vec<Option<String>>,
    code_of: HashMap<String, u32>,
    null: Option<u32>,
}

/// The number of each row's label, as narrow as they allow.
#[derive(Debug)]
pub(crate) enum Codes {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
    Widest(Vec<u32>),
}

impl Default for Codes {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

/// How many codes of one byte there are.
const NARROW_CODES: usize = 1 << u8::BITS;

impl Codes {
    /// Adds for each of these rows what stands in `table` at its code.
    pub(crate) fn translated<T: Copy + Default>(
        &self,
        rows: Range<usize>,
        table: &[T],
        into: &mut Vec<T>,
    ) {
        match self {
            // Every byte has a place in the whole table, so none needs to be tested.
            Self::Narrow(codes) if rows.len() >= NARROW_CODES && table.len() <= NARROW_CODES => {
                let mut whole = [T::default(); NARROW_CODES];
                whole[..table.len()].copy_from_slice(table);
                into.extend(codes[rows].iter().map(|&code| whole[usize::from(code)]));
            }
            Self::Narrow(codes) => {
                into.extend(codes[rows].iter().map(|&code| table[usize::from(code)]));
            }
            Self::Wide(codes) => {
                into.extend(codes[rows].iter().map(|&code| table[usize::from(code)]));
            }
            Self::Widest(codes) => {
                into.extend(codes[rows].iter().map(|&code| table[code as usize]));
            }
        }
    }
}

impl Labels {
    pub(crate) fn codes(&self) -> &Codes {
        &self.codes
    }

    /// The label of each code; `None` is NULL.
    pub(crate) fn values(&self) -> &[Option<String>] {
        &self.values
    }

    pub(super) fn bytes(&self) -> usize {
        let text = |value: &Option<String>| 2 * (value.as_ref().map_or(0, String::len) + 32);
        self.codes.bytes() + self.values.iter().map(text).sum::<usize>()
    }

    pub(super) fn append(&mut self, more: &dyn Array) -> Result<(), String> {
        let Some(more) = more.as_any().downcast_ref::<DictionaryArray<Int32Type>>() else {
            return Err(format!("labels came as {}", more.data_type()));
        };
        let texts = more.values().as_string::<i32>();
        let null = if more.null_count() > 0 { self.code(None) } else { 0 };
        // Texts that no row has get no code.
        let mut codes: Vec<Option<u32>> = vec![None; texts.len()];
        let mut found = Vec::with_capacity(more.len());
        for key in more.keys() {
            found.push(match key {
                None => null,
                Some(key) => {
                    let key = usize::try_from(key).map_err(|_| "a label has no number")?;
                    let text = texts.is_valid(key).then(|| texts.value(key));
                    *codes[key].get_or_insert_with(|| self.code(text))
                }
            });
        }
        self.codes.extend(&found);
        Ok(())
    }

    /// Adds rows of texts that come without numbers.
    pub(super) fn append_texts(&mut self, more: &StringArray) {
        let found = more.iter().map(|text| self.code(text)).collect::<Vec<_>>();
        self.codes.extend(&found);
    }

    /// The labels of several columns one after the other, in this order.
    pub(super) fn arranged(columns: &[&Self], order: &[u32], threads: usize) -> Self {
        let mut all = Self::default();
        for column in columns {
            let codes = column.values.iter().map(|text| all.code(text.as_deref()));
            let codes = codes.collect::<Vec<_>>();
            let found = match &column.codes {
                Codes::Narrow(rows) => rows.iter().map(|&code| codes[code as usize]).collect(),
                Codes::Wide(rows) => rows.iter().map(|&code| codes[code as usize]).collect(),
                Codes::Widest(rows) => {
                    rows.iter().map(|&code| codes[code as usize]).collect::<Vec<_>>()
                }
            };
            all.codes.extend(&found);
        }
        all.codes = match &all.codes {
            Codes::Narrow(rows) => Codes::Narrow(gathered(rows, order, threads)),
            Codes::Wide(rows) => Codes::Wide(gathered(rows, order, threads)),
            Codes::Widest(rows) => Codes::Widest(gathered(rows, order, threads)),
        };
        all.finish();
        all
    }

    fn code(&mut self, text: Option<&str>) -> u32 {
        let known = match text {
            Some(text) => self.code_of.get(text).copied(),
            None => self.null,
        };
        if let Some(code) = known {
            return code;
        }
        let code = self.values.len() as u32;
        self.values.push(text.map(str::to_owned));
        match text {
            Some(text) => {
                self.code_of.insert(text.to_owned(), code);
            }
            None => self.null = Some(code),
        }
        code
    }

    /// No more rows will come.
    pub(super) fn finish(&mut self) {
        self.code_of = HashMap::new();
    }
}

impl Codes {
    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(codes) => codes.capacity(),
            Self::Wide(codes) => codes.capacity() * size_of::<u16>(),
            Self::Widest(codes) => codes.capacity() * size_of::<u32>(),
        }
    }

    fn extend(&mut self, more: &[u32]) {
        let most = more.iter().copied().max().unwrap_or(0);
        self.make_room_for(most);
        match self {
            Self::Narrow(codes) => codes.extend(more.iter().map(|&code| code as u8)),
            Self::Wide(codes) => codes.extend(more.iter().map(|&code| code as u16)),
            Self::Widest(codes) => codes.extend_from_slice(more),
        }
    }

    fn make_room_for(&mut self, most: u32) {
        if let Self::Narrow(codes) = self
            && most > u32::from(u8::MAX)
        {
            *self = Self::Wide(codes.iter().map(|&code| u16::from(code)).collect());
        }
        if let Self::Wide(codes) = self
            && most > u32::from(u16::MAX)
        {
            *self = Self::Widest(codes.iter().map(|&code| u32::from(code)).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(labels: &Labels, rows: Range<usize>) -> Vec<Option<String>> {
        let places = (0..labels.values.len() as u32).collect::<Vec<_>>();
        let mut found = Vec::new();
        labels.codes().translated(rows, &places, &mut found);
        found.into_iter().map(|place| labels.values[place as usize].clone()).collect()
    }

    #[test]
    fn labels_of_several_dictionaries_come_out_as_they_went_in() {
        for distinct in [3, 200, 300, 70_000] {
            let mut labels = Labels::default();
            let mut expected = Vec::new();
            for part in 0..3 {
                let text = |row: usize| {
                    (!row.is_multiple_of(5)).then(|| format!("{}", (row + part) % distinct))
                };
                let rows: Vec<_> = (0..distinct * 2).map(text).collect();
                let array: DictionaryArray<Int32Type> = rows.iter().map(Option::as_deref).collect();
                labels.append(&array).unwrap();
                expected.extend(rows);
            }
            assert_eq!(texts(&labels, 0..expected.len()), expected);
            assert_eq!(texts(&labels, 3..7), expected[3..7]);
        }
    }
}

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

impl Codes {
    /// Marks by 1 those of these rows whose code is wanted.
    pub(crate) fn mark(&self, rows: Range<usize>, wanted: &WantedCodes, marks: &mut [u8]) {
        match (self, wanted) {
            // All rows are compared with one code: the machine does many of them in one step.
            (Self::Narrow(codes), WantedCodes::Only(only)) => {
                for (mark, &code) in marks.iter_mut().zip(&codes[rows]) {
                    *mark |= u8::from(code == *only);
                }
            }
            (Self::Narrow(codes), WantedCodes::AllBut(one)) => {
                for (mark, &code) in marks.iter_mut().zip(&codes[rows]) {
                    *mark |= u8::from(code != *one);
                }
            }
            (Self::Narrow(codes), _) => mark_each(&codes[rows], wanted, marks),
            (Self::Wide(codes), _) => mark_each(&codes[rows], wanted, marks),
            (Self::Widest(codes), _) => mark_each(&codes[rows], wanted, marks),
        }
    }
}

fn mark_each<C: Copy + Into<u32>>(codes: &[C], wanted: &WantedCodes, marks: &mut [u8]) {
    for (mark, &code) in marks.iter_mut().zip(codes) {
        *mark |= u8::from(wanted.has(code.into()));
    }
}

/// Some of the codes of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WantedCodes {
    Only(u8),
    AllBut(u8),
    /// Whether each is.
    Each(Vec<bool>),
}

impl WantedCodes {
    pub(crate) fn new(is_wanted: Vec<bool>) -> Self {
        let place = |wanted: bool| {
            let mut places = is_wanted.iter().enumerate().filter(|(_, is)| **is == wanted);
            let first = u8::try_from(places.next()?.0).ok()?;
            places.next().is_none().then_some(first)
        };
        match (place(true), place(false)) {
            (Some(only), _) => Self::Only(only),
            (None, Some(one)) => Self::AllBut(one),
            (None, None) => Self::Each(is_wanted),
        }
    }

    #[inline]
    fn has(&self, code: u32) -> bool {
        match self {
            Self::Only(only) => code == u32::from(*only),
            Self::AllBut(one) => code != u32::from(*one),
            Self::Each(is_wanted) => is_wanted[code as usize],
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

    pub(crate) fn append(&mut self, more: &dyn Array) -> Result<(), String> {
        let Some(more) = more.as_any().downcast_ref::<DictionaryArray<Int32Type>>() else {
            return Err(format!("labels came as {}", more.data_type()));
        };
        let texts = more.values().as_string::<i32>();
        let null = if more.null_count() > 0 { self.code(None) } else { 0 };
        let keys = more.keys().values();
        // Texts that no row has get no code; what a row without a text has for a key is anything.
        let mut is_used = vec![false; texts.len()];
        match more.keys().nulls().filter(|_| more.null_count() > 0) {
            None => keys.iter().for_each(|&key| is_used[key as usize] = true),
            Some(valid) => valid.valid_indices().for_each(|row| is_used[keys[row] as usize] = true),
        }
        let text = |key: usize| texts.is_valid(key).then(|| texts.value(key));
        let codes = (0..texts.len()).map(|key| if is_used[key] { self.code(text(key)) } else { 0 });
        let codes = codes.collect::<Vec<_>>();
        self.codes.make_room_for(self.values.len().saturating_sub(1) as u32);
        match more.keys().nulls().filter(|_| more.null_count() > 0) {
            None => self.codes.extend_from(keys.iter().map(|&key| codes[key as usize])),
            Some(valid) => {
                let code = |(&key, is_valid)| if is_valid { codes[key as usize] } else { null };
                self.codes.extend_from(keys.iter().zip(valid).map(code));
            }
        }
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
        let tables = columns.iter().map(|column| {
            let codes = column.values.iter().map(|text| all.code(text.as_deref()));
            codes.collect::<Vec<_>>()
        });
        let tables = tables.collect::<Vec<_>>();
        all.codes.make_room_for(all.values.len().saturating_sub(1) as u32);
        all.codes = match &all.codes {
            Codes::Narrow(_) => {
                let rows = joined(columns, &tables, |code| code as u8);
                Codes::Narrow(gathered(&rows, order, threads))
            }
            Codes::Wide(_) => {
                let rows = joined(columns, &tables, |code| code as u16);
                Codes::Wide(gathered(&rows, order, threads))
            }
            Codes::Widest(_) => {
                Codes::Widest(gathered(&joined(columns, &tables, |code| code), order, threads))
            }
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

/// The codes of all rows of several columns, each translated by its own table.
fn joined<T: Copy + Default>(
    columns: &[&Labels],
    tables: &[Vec<u32>],
    narrowed: impl Fn(u32) -> T,
) -> Vec<T> {
    let mut all = Vec::with_capacity(columns.iter().map(|column| column.codes.len()).sum());
    for (column, table) in columns.iter().zip(tables) {
        let table = table.iter().map(|&code| narrowed(code)).collect::<Vec<_>>();
        column.codes.translated(0..column.codes.len(), &table, &mut all);
    }
    all
}

impl Codes {
    fn len(&self) -> usize {
        match self {
            Self::Narrow(codes) => codes.len(),
            Self::Wide(codes) => codes.len(),
            Self::Widest(codes) => codes.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(codes) => codes.capacity(),
            Self::Wide(codes) => codes.capacity() * size_of::<u16>(),
            Self::Widest(codes) => codes.capacity() * size_of::<u32>(),
        }
    }

    fn extend(&mut self, more: &[u32]) {
        self.make_room_for(more.iter().copied().max().unwrap_or(0));
        self.extend_from(more.iter().copied());
    }

    /// Adds codes that there is room for.
    fn extend_from(&mut self, more: impl Iterator<Item = u32>) {
        match self {
            Self::Narrow(codes) => codes.extend(more.map(|code| code as u8)),
            Self::Wide(codes) => codes.extend(more.map(|code| code as u16)),
            Self::Widest(codes) => codes.extend(more),
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

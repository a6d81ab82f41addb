//! Texts that come as numbers, by the numbers of a fold's own names.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::UInt32Type;
use habitue_udf::Names;
use std::sync::Arc;

/// Translates the numbers of a dictionary column. The walk sends the same texts with every batch,
/// so each of them is looked at once.
#[derive(Default)]
pub(super) struct LabelNames {
    last: Option<(ArrayRef, Vec<u32>)>,
    found: Vec<u32>,
}

impl LabelNames {
    /// The name of each row; NULL is [`Names::NONE`].
    pub(super) fn of(&mut self, column: &ArrayRef, names: &mut Names) -> &[u32] {
        let labels = column.as_dictionary::<UInt32Type>();
        let known =
            self.last.as_ref().is_some_and(|(texts, _)| Arc::ptr_eq(texts, labels.values()));
        if !known {
            let texts = labels.values().as_string::<i32>();
            let number = |text: Option<&str>| text.map_or(Names::NONE, |text| names.number(text));
            let numbers = texts.iter().map(number).collect();
            self.last = Some((labels.values().clone(), numbers));
        }
        let numbers = self.last.as_ref().map_or(&[][..], |(_, numbers)| numbers);
        self.found.clear();
        let keys = labels.keys();
        match keys.null_count() {
            0 => self.found.extend(keys.values().iter().map(|&key| numbers[key as usize])),
            _ => {
                let name = |key: Option<u32>| key.map_or(Names::NONE, |key| numbers[key as usize]);
                self.found.extend(keys.iter().map(name));
            }
        }
        &self.found
    }

    /// The name of each event; a row without a time is none and has [`Names::NONE`].
    pub(super) fn of_events(
        &mut self,
        column: &ArrayRef,
        ts: &Int64Array,
        names: &mut Names,
    ) -> &[u32] {
        self.of(column, names);
        if ts.null_count() > 0 {
            let rows = self.found.iter_mut().enumerate();
            rows.filter(|(row, _)| ts.is_null(*row)).for_each(|(_, name)| *name = Names::NONE);
        }
        &self.found
    }
}

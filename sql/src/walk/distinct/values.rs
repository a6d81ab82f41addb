//! Numbers for the values of one column.

use crate::walk::small_hash::SmallMap;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type};
use datafusion::error::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use std::collections::HashMap;
use std::sync::Arc;

/// Gives the values of a column numbers from 0, in the order in which they are first seen; NULL is
/// a value.
pub(super) enum ValueNumbers {
    /// Whole numbers, times and dates.
    Whole { numbers: WholeNumbers, data_type: DataType },
    /// Texts that come with numbers of their own.
    Labels(LabelNumbers),
    /// All else, by the engine's table of groups.
    Any { groups: Box<dyn GroupValues>, places: Vec<usize> },
}

impl ValueNumbers {
    pub(super) fn new(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            whole if is_whole(whole) => {
                let numbers = WholeNumbers::default();
                Self::Whole { numbers, data_type: whole.clone() }
            }
            DataType::Dictionary(key, value)
                if **key == DataType::UInt32 && **value == DataType::Utf8 =>
            {
                Self::Labels(LabelNumbers::default())
            }
            other => {
                let schema = Schema::new(vec![Field::new("value", other.clone(), true)]);
                let groups = new_group_values(Arc::new(schema), &GroupOrdering::None)?;
                Self::Any { groups, places: Vec::new() }
            }
        })
    }

    /// Adds the number of each value.
    pub(super) fn number(&mut self, values: &ArrayRef, into: &mut Vec<u32>) -> Result<()> {
        match self {
            Self::Whole { numbers, .. } => {
                let values = cast(values, &DataType::Int64)?;
                numbers.number(values.as_primitive(), into);
            }
            Self::Labels(labels) => labels.number(values, into),
            Self::Any { groups, places } => {
                places.clear();
                groups.intern(std::slice::from_ref(values), places)?;
                into.extend(places.iter().map(|&place| place as u32));
            }
        }
        Ok(())
    }

    /// All values, in the order of their numbers.
    pub(super) fn into_values(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Whole { numbers, data_type } => {
                let values: ArrayRef = Arc::new(Int64Array::from(numbers.values));
                cast(&values, &data_type)?
            }
            Self::Labels(labels) => Arc::new(StringArray::from(labels.texts)),
            Self::Any { mut groups, .. } => groups.emit(EmitTo::All)?.remove(0),
        })
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Self::Whole { numbers, .. } => numbers.values.capacity() * 40,
            Self::Labels(labels) => labels.texts.len() * 128,
            Self::Any { groups, places } => groups.size() + places.capacity() * 8,
        }
    }
}

fn is_whole(data_type: &DataType) -> bool {
    match data_type {
        DataType::UInt64 => false,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => true,
        other => other.is_integer(),
    }
}

#[derive(Default)]
pub(super) struct WholeNumbers {
    known: SmallMap<i64>,
    null: Option<u32>,
    last: Option<(i64, u32)>,
    values: Vec<Option<i64>>,
}

impl WholeNumbers {
    fn number(&mut self, values: &arrow::array::PrimitiveArray<Int64Type>, into: &mut Vec<u32>) {
        if values.null_count() == 0 {
            into.extend(values.values().iter().map(|&value| self.of(value)));
            return;
        }
        for value in values {
            let number = match value {
                Some(value) => self.of(value),
                None => *self.null.get_or_insert_with(|| {
                    self.values.push(None);
                    self.values.len() as u32 - 1
                }),
            };
            into.push(number);
        }
    }

    fn of(&mut self, value: i64) -> u32 {
        if let Some((last, number)) = self.last
            && last == value
        {
            return number;
        }
        let values = &mut self.values;
        let number = *self.known.entry(value).or_insert_with(|| {
            values.push(Some(value));
            values.len() as u32 - 1
        });
        self.last = Some((value, number));
        number
    }
}

#[derive(Default)]
pub(super) struct LabelNumbers {
    known: HashMap<Option<String>, u32>,
    texts: Vec<Option<String>>,
    /// The texts that came last, and the number of each; NULL is behind them.
    last: Option<(ArrayRef, Vec<Option<u32>>)>,
}

impl LabelNumbers {
    fn number(&mut self, values: &ArrayRef, into: &mut Vec<u32>) {
        let labels = values.as_dictionary::<UInt32Type>();
        let texts = labels.values();
        let (texts, mut numbers) = match self.last.take() {
            Some((last, numbers)) if Arc::ptr_eq(&last, texts) => (last, numbers),
            _ => (texts.clone(), vec![None; texts.len() + 1]),
        };
        let null = texts.len();
        let mut number = |place: usize| match numbers[place] {
            Some(number) => number,
            None => {
                let text = texts.as_string::<i32>();
                let is_text = place < null && texts.is_valid(place);
                let number = self.of(is_text.then(|| text.value(place).to_owned()));
                numbers[place] = Some(number);
                number
            }
        };
        let keys = labels.keys();
        match keys.null_count() {
            0 => into.extend(keys.values().iter().map(|&key| number(key as usize))),
            _ => into.extend(keys.iter().map(|key| number(key.map_or(null, |key| key as usize)))),
        }
        self.last = Some((texts, numbers));
    }

    fn of(&mut self, text: Option<String>) -> u32 {
        let texts = &mut self.texts;
        *self.known.entry(text).or_insert_with_key(|text| {
            texts.push(text.clone());
            texts.len() as u32 - 1
        })
    }
}

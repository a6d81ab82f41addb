//! Aggregates that make one bitmap of many rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder, BooleanArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use crate::arguments::Wording;
use crate::bitmap::columns::{binary_column, check_input, decode, number_column};
use crate::bitmap::portable::Bitmap;

/// What a row of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Number,
    Bitmap,
}

/// How the rows of a group become one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Combine {
    Union,
    Intersection,
}

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Bitmap,
    Count,
}

/// One of the bitmap aggregates.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct BitmapAggregate {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    input: Input,
    combine: Combine,
    answer: Answer,
}

/// All of them.
pub(super) fn aggregates() -> Vec<BitmapAggregate> {
    use {Answer as A, Combine as C, Input as I};
    let table = [
        ("bitmap_agg", Some("group_bitmap_state"), I::Number, C::Union, A::Bitmap),
        ("group_bitmap", None, I::Number, C::Union, A::Count),
        ("bitmap_union", Some("group_bitmap_or_state"), I::Bitmap, C::Union, A::Bitmap),
        ("bitmap_union_count", Some("group_bitmap_or"), I::Bitmap, C::Union, A::Count),
        ("bitmap_intersect", Some("group_bitmap_and_state"), I::Bitmap, C::Intersection, A::Bitmap),
    ];
    let make = |(name, alias, input, combine, answer): (_, Option<&str>, _, _, _)| {
        let signature = Signature::any(1, Volatility::Immutable);
        let aliases = alias.map(str::to_owned).into_iter().collect();
        BitmapAggregate { name, aliases, kind: Kind { input, combine, answer }, signature }
    };
    table.into_iter().map(make).collect()
}

impl BitmapAggregate {
    fn wording(&self) -> Wording {
        let example = match self.kind.input {
            Input::Number => "bitmap_agg(customer_id)",
            Input::Bitmap => "bitmap_union(members)",
        };
        Wording { function: self.name, example }
    }

    fn groups(&self) -> BitmapGroups {
        BitmapGroups { kind: self.kind, wording: self.wording(), groups: Vec::new(), heap_bytes: 0 }
    }
}

impl AggregateUDFImpl for BitmapAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        for data_type in types {
            check_input(self.kind.input, data_type, self.wording())?;
        }
        Ok(match self.kind.answer {
            Answer::Bitmap => DataType::Binary,
            Answer::Count => DataType::Int64,
        })
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.groups().answers(&[None]), 0)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.groups()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "bitmap");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// One set per group, `None` until a row came; as a plain accumulator it has a single group.
#[derive(Debug)]
struct BitmapGroups {
    kind: Kind,
    wording: Wording,
    groups: Vec<Option<Bitmap>>,
    heap_bytes: usize,
}

impl BitmapGroups {
    fn take_in(
        &mut self,
        input: Input,
        column: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.groups.resize(total, None);
        let mut touched = groups.to_vec();
        touched.sort_unstable();
        touched.dedup();
        let before = self.bytes_of(&touched);
        let counts = |row| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        match input {
            Input::Number => {
                let numbers = number_column(column, self.wording)?;
                if let [group] = touched.as_slice() {
                    let rows =
                        (0..groups.len()).filter(|&row| numbers.is_valid(row) && counts(row));
                    let mut rows = rows.peekable();
                    if rows.peek().is_some() {
                        let set = self.groups[*group].get_or_insert_default();
                        set.extend(rows.map(|row| numbers.value(row)));
                    }
                } else {
                    for (row, &group) in groups.iter().enumerate() {
                        if numbers.is_valid(row) && counts(row) {
                            let set = self.groups[group].get_or_insert_default();
                            set.insert(numbers.value(row));
                        }
                    }
                }
            }
            Input::Bitmap => {
                let bytes = binary_column(column)?;
                for (row, &group) in groups.iter().enumerate() {
                    if bytes.is_valid(row) && counts(row) {
                        let set = decode(bytes.value(row), self.wording)?;
                        combine(self.kind.combine, &mut self.groups[group], set);
                    }
                }
            }
        }
        self.heap_bytes = (self.heap_bytes + self.bytes_of(&touched)).saturating_sub(before);
        Ok(())
    }

    fn bytes_of(&self, groups: &[usize]) -> usize {
        groups.iter().filter_map(|&group| self.groups[group].as_ref()).map(Bitmap::size).sum()
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Option<Bitmap>> {
        let taken = emit_to.take_needed(&mut self.groups);
        let bytes: usize = taken.iter().flatten().map(Bitmap::size).sum();
        self.heap_bytes = self.heap_bytes.saturating_sub(bytes);
        taken
    }

    fn answers(&self, groups: &[Option<Bitmap>]) -> ArrayRef {
        let nothing = Bitmap::default();
        let sets = groups.iter().map(|set| set.as_ref().unwrap_or(&nothing));
        match self.kind.answer {
            Answer::Bitmap => {
                let mut bytes = BinaryBuilder::new();
                sets.for_each(|set| bytes.append_value(set.to_bytes()));
                Arc::new(bytes.finish())
            }
            Answer::Count => {
                Arc::new(Int64Array::from_iter_values(sets.map(|set| set.len().cast_signed())))
            }
        }
    }

    fn the_group(&self) -> &[Option<Bitmap>] {
        self.groups.get(..1).unwrap_or(&[None])
    }
}

fn combine(how: Combine, place: &mut Option<Bitmap>, set: Bitmap) {
    match (place.as_mut(), how) {
        (None, _) => *place = Some(set),
        (Some(place), Combine::Union) => place.union_with(&set),
        (Some(place), Combine::Intersection) => place.intersect_with(&set),
    }
}

fn state_column(groups: &[Option<Bitmap>]) -> ArrayRef {
    let mut bytes = BinaryBuilder::new();
    groups.iter().for_each(|set| bytes.append_option(set.as_ref().map(Bitmap::to_bytes)));
    Arc::new(bytes.finish())
}

impl GroupsAccumulator for BitmapGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.take_in(self.kind.input, &values[0], group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.take(emit_to);
        Ok(self.answers(&groups))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![state_column(&self.take(emit_to))])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.take_in(Input::Bitmap, &values[0], group_indices, None, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let own_group: Vec<usize> = (0..rows).collect();
        let mut each_row =
            Self { kind: self.kind, wording: self.wording, groups: Vec::new(), heap_bytes: 0 };
        each_row.take_in(self.kind.input, &values[0], &own_group, opt_filter, rows)?;
        Ok(vec![state_column(&each_row.groups)])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.groups.capacity() * size_of::<Option<Bitmap>>() + self.heap_bytes
    }
}

impl Accumulator for BitmapGroups {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; values[0].len()];
        self.take_in(self.kind.input, &values[0], &groups, None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.answers(self.the_group()), 0)
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&state_column(self.the_group()), 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; states[0].len()];
        self.take_in(Input::Bitmap, &states[0], &groups, None, 1)
    }
}

//! `retention(c1, …, cN)`: who was there, and which of the other things they also did.
//!
//! ```sql
//! SELECT customer, retention(day = 1, day = 2, day = 8) AS r
//! FROM (VALUES ('ann', 1), ('ann', 8), ('bob', 2)) AS visits(customer, day)
//! GROUP BY customer ORDER BY customer;
//! +----------+-----------+
//! | customer | r         |
//! +----------+-----------+
//! | ann      | [1, 0, 1] |
//! | bob      | [0, 0, 0] |
//! +----------+-----------+
//! ```
//!
//! `r[1]` tells whether any row has c1; `r[i]` whether any row has c1 and any row has ci. Order in
//! time does not matter, so ties do not either. NULL condition: false. An empty group gives N
//! zeros, so `sum(r[1])` counts the customers of the cohort and `sum(r[2])` those who came back.
//!
//! Cost: one pass. Memory: 4 bytes per customer. Elsewhere: `retention` of ClickHouse (array of
//! UInt8), Doris and StarRocks (array of boolean).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt8Array, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, UInt32Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use crate::arguments::{Argument, Wording};
use crate::conditions;

const WORDING: Wording =
    Wording { function: "retention", example: "retention(day = 1, day = 2, day = 8)" };

/// What one customer did, whenever it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    seen: u32,
}

impl Retention {
    /// Takes the conditions of one row: bit `i` for condition `i`.
    pub fn observe(&mut self, mask: u32) {
        self.seen |= mask;
    }

    /// Takes what another part of the same customer's rows saw.
    pub fn merge(&mut self, other: Self) {
        self.seen |= other.seen;
    }

    /// One 0 or 1 per condition.
    pub fn answer(self, conditions: usize) -> impl Iterator<Item = u8> {
        let counted = if self.seen & 1 == 1 { self.seen } else { 0 };
        (0..conditions).map(move |condition| u8::from(counted & (1 << condition) != 0))
    }
}

/// The aggregate function `retention`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RetentionFunction {
    signature: Signature,
}

impl Default for RetentionFunction {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

fn item_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::UInt8, true))
}

impl AggregateUDFImpl for RetentionFunction {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let arguments: Vec<_> = types
            .iter()
            .map(|data_type| Argument { data_type: data_type.clone(), literal: None })
            .collect();
        conditions::check(&arguments, WORDING)?;
        Ok(DataType::List(item_field()))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(RetentionGroups::new(args.exprs.len())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "seen");
        Ok(vec![Arc::new(Field::new(name, DataType::UInt32, false))])
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(RetentionGroups::new(args.exprs.len())))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// One state per group; as a plain accumulator it has a single group.
#[derive(Debug)]
struct RetentionGroups {
    conditions: usize,
    groups: Vec<Retention>,
}

impl RetentionGroups {
    fn new(conditions: usize) -> Self {
        Self { conditions, groups: Vec::new() }
    }

    fn lists(&self, groups: &[Retention]) -> ListArray {
        let values = groups.iter().flat_map(|group| group.answer(self.conditions));
        let values = UInt8Array::from_iter_values(values);
        let lengths = std::iter::repeat_n(self.conditions, groups.len());
        ListArray::new(item_field(), OffsetBuffer::from_lengths(lengths), Arc::new(values), None)
    }

    fn the_group(&self) -> Retention {
        self.groups.first().copied().unwrap_or_default()
    }
}

fn seen_column(groups: &[Retention]) -> UInt32Array {
    UInt32Array::from_iter_values(groups.iter().map(|group| group.seen))
}

impl GroupsAccumulator for RetentionGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Retention::default());
        let masks = conditions::masks(values, group_indices.len());
        for (row, (&mask, &group)) in masks.iter().zip(group_indices).enumerate() {
            if opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.groups[group].observe(mask);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        Ok(Arc::new(self.lists(&groups)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(seen_column(&emit_to.take_needed(&mut self.groups)))])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Retention::default());
        let seen = values[0].as_primitive::<UInt32Type>().values();
        for (&seen, &group) in seen.iter().zip(group_indices) {
            self.groups[group].merge(Retention { seen });
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut each_row = Self::new(self.conditions);
        let own_group: Vec<usize> = (0..rows).collect();
        GroupsAccumulator::update_batch(&mut each_row, values, &own_group, opt_filter, rows)?;
        GroupsAccumulator::state(&mut each_row, EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.groups.capacity() * size_of::<Retention>()
    }
}

impl Accumulator for RetentionGroups {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; values[0].len()];
        GroupsAccumulator::update_batch(self, values, &groups, None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::List(Arc::new(self.lists(&[self.the_group()]))))
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::UInt32(Some(self.the_group().seen))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; states[0].len()];
        GroupsAccumulator::merge_batch(self, states, &groups, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[u32]) -> Vec<u8> {
        let mut state = Retention::default();
        rows.iter().for_each(|&mask| state.observe(mask));
        state.answer(3).collect()
    }

    #[test]
    fn nothing_gives_zeros() {
        assert_eq!(answer(&[]), [0, 0, 0]);
    }

    #[test]
    fn without_the_first_condition_nothing_counts() {
        assert_eq!(answer(&[0b110]), [0, 0, 0]);
        assert_eq!(answer(&[0b001]), [1, 0, 0]);
    }

    #[test]
    fn order_does_not_matter() {
        assert_eq!(answer(&[0b100, 0b001]), [1, 0, 1]);
        assert_eq!(answer(&[0b001, 0b100]), [1, 0, 1]);
    }

    #[test]
    fn thirty_two_conditions_work() {
        let mut state = Retention::default();
        state.observe(u32::MAX);
        assert_eq!(state.answer(32).map(u32::from).sum::<u32>(), 32);
    }
}

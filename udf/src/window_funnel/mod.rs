//! `window_funnel(window, [mode,] ts, c1, …, cN)`: the deepest step of a funnel that was reached.
//!
//! ```sql
//! SELECT customer, window_funnel(INTERVAL '7 days', ts, event = 'view', event = 'buy') AS depth
//! FROM (VALUES ('ann', TIMESTAMP '2025-01-01', 'view'), ('ann', TIMESTAMP '2025-01-03', 'buy'),
//!              ('bob', TIMESTAMP '2025-01-01', 'view'), ('bob', TIMESTAMP '2025-01-09', 'buy'))
//!      AS events(customer, ts, event)
//! GROUP BY customer ORDER BY customer;
//! +----------+-------+
//! | customer | depth |
//! +----------+-------+
//! | ann      | 2     |
//! | bob      | 1     |
//! +----------+-------+
//! ```
//!
//! The answer is the length of the longest chain c1, c2, … over all possible starts, every step at
//! most `window` after the first step. No row, or no c1: 0.
//!
//! Ties: rows with the same `ts` happen together. A start goes as deep as they allow; only then the
//! strict modes look at them. In `strict_deduplication` each of them that matches a reached step
//! must have served a step reached just now, one row per step; else the start ends. Rows with the
//! start's own `ts` never end it. NULL `ts`: the row is skipped. NULL condition: false.
//!
//! Cost: the sort of a customer's matched rows, then a few operations per row. Memory: 16 bytes per
//! row that matches a condition (with `strict_order`: per row), nothing per customer.
//!
//! Elsewhere: ClickHouse and Doris `windowFunnel` / `window_funnel`, DuckDB `behavioral`. Unlike
//! ClickHouse, every start is tried in the strict modes, `strict_increase` finds the longest chain,
//! and the answer does not depend on the order of rows with equal times.

mod assignment;
mod depth;
mod mode;
mod sorted;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

pub use depth::{FunnelRule, WindowFunnel};
pub use mode::{FunnelMode, Pace, Repeats, Service, Strangers, WrongMode};
pub use sorted::SortedFunnel;

use crate::arguments::{self, Argument, Wording};
use crate::conditions;
pub use crate::grouped_events::Event;
use crate::grouped_events::{EventsByGroup, GroupedEvents, state_fields};
use crate::time_scale::TimeScale;

const WORDING: Wording = Wording {
    function: "window_funnel",
    example: "window_funnel(INTERVAL '7 days', 'strict_once', ts, event = 'view', event = 'buy')",
};

/// The aggregate function `window_funnel`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WindowFunnelFunction {
    signature: Signature,
}

impl Default for WindowFunnelFunction {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

/// A call whose arguments have been checked.
#[derive(Clone, Copy, Debug)]
struct FunnelCall {
    rule: FunnelRule,
    scale: TimeScale,
    ts_index: usize,
}

/// Where `ts` and the conditions stand: a mode may stand before them.
fn check_types(arguments: &[Argument]) -> Result<(usize, TimeScale, u32)> {
    let has_mode = arguments.get(1).is_some_and(|mode| arguments::is_text(&mode.data_type));
    let ts_index = if has_mode { 2 } else { 1 };
    let Some(ts) = arguments.get(ts_index) else {
        let came = format!("{} arguments", arguments.len());
        return Err(WORDING.wrong("ts", came, "a window, a time column and conditions"));
    };
    let scale = TimeScale::of(&ts.data_type, WORDING)?;
    let steps = conditions::check(&arguments[ts_index + 1..], WORDING)?;
    Ok((ts_index, scale, steps as u32))
}

impl FunnelCall {
    fn new(arguments: &[Argument]) -> Result<Self> {
        let (ts_index, scale, steps) = check_types(arguments)?;
        let wanted = "an interval without months or a whole number, not negative";
        let window = WORDING.literal("window", &arguments[0], wanted)?;
        let window = scale.length("window", window, WORDING)?;
        let mode = match ts_index {
            1 => FunnelMode::default(),
            _ => {
                let text = WORDING.text("mode", &arguments[1], mode::MODES)?;
                let wrong = |wrong: WrongMode| {
                    WORDING.wrong("mode", format!("'{}'", wrong.word), wrong.wanted)
                };
                FunnelMode::parse(text).map_err(wrong)?
            }
        };
        Ok(Self { rule: FunnelRule { steps, window, mode }, scale, ts_index })
    }

    fn of(args: &AccumulatorArgs<'_>) -> Result<Self> {
        Self::new(&arguments::of_aggregate(args))
    }

    /// Calls `observe` with the rows of a batch that count.
    fn for_each_event(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        mut observe: impl FnMut(usize, Event),
    ) -> Result<()> {
        let ts = self.scale.steps(&values[self.ts_index])?;
        let masks = conditions::masks(&values[self.ts_index + 1..], ts.len());
        let keep_unmatched = self.rule.mode.needs_unmatched_rows();
        for (row, &mask) in masks.iter().enumerate() {
            let counts = (mask != 0 || keep_unmatched)
                && ts.is_valid(row)
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counts {
                observe(row, Event { ts: ts.value(row), mask });
            }
        }
        Ok(())
    }
}

impl AggregateUDFImpl for WindowFunnelFunction {
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
        check_types(&arguments)?;
        Ok(DataType::Int32)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int32(Some(0)))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(arguments::check_aggregate(|arguments| FunnelCall::new(arguments).map(|_| ())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let call = FunnelCall::of(&args)?;
        Ok(Box::new(FunnelAccumulator { call, state: WindowFunnel::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(state_fields(args.name))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let call = FunnelCall::of(&args)?;
        Ok(Box::new(FunnelGroups { call, events: GroupedEvents::default() }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// One group: a query without GROUP BY, or a window frame.
#[derive(Debug)]
struct FunnelAccumulator {
    call: FunnelCall,
    state: WindowFunnel,
}

impl Accumulator for FunnelAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let state = &mut self.state;
        self.call.for_each_event(values, None, |_, event| state.observe(event))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let depth = self.state.answer(&self.call.rule);
        Ok(ScalarValue::Int32(Some(depth as i32)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.state.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = EventsByGroup::of_one_group(self.state.events()).into_state();
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let mut grouped = GroupedEvents::default();
        grouped.ensure_groups(1)?;
        grouped.merge(states, &vec![0; states[0].len()]);
        let merged = grouped.take(EmitTo::All);
        merged.answers(<[Event]>::to_vec).iter().for_each(|events| self.state.merge(events));
        Ok(())
    }
}

/// All groups of a GROUP BY.
#[derive(Debug)]
struct FunnelGroups {
    call: FunnelCall,
    events: GroupedEvents,
}

impl GroupsAccumulator for FunnelGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.events.ensure_groups(total_num_groups)?;
        let events = &mut self.events;
        self.call.for_each_event(values, opt_filter, |row, event| {
            events.push(group_indices[row], event);
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let rule = self.call.rule;
        let depths = self.events.take(emit_to).answers(|events| rule.depth(events) as i32);
        Ok(Arc::new(Int32Array::from(depths)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(self.events.take(emit_to).into_state())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.events.ensure_groups(total_num_groups)?;
        self.events.merge(values, group_indices);
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut rows = GroupedEvents::default();
        rows.ensure_groups(values[0].len())?;
        self.call.for_each_event(values, opt_filter, |row, event| rows.push(row, event))?;
        Ok(rows.take(EmitTo::All).into_state())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.events.size()
    }
}

//! `funnel_steps(order, within, tie, ts, excluded, c1, …, cN)` as an aggregate function.

use super::{EXCLUDED, FunnelOrder, FunnelRules, STEPS_MAX, Tie, walk};
use crate::arguments::{self, Argument, Wording};
use crate::conditions;
use crate::grouped_events::{Event, EventsByGroup, GroupedEvents, state_fields};
use crate::time_scale::TimeScale;
use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, LargeListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use std::sync::Arc;

const WORDING: Wording = Wording {
    function: "funnel_steps",
    example: "funnel_steps('ordered', INTERVAL '1' HOUR, 'in_order', ts, false, c1, c2)",
};
/// Where ts stands: after order, within and tie.
const TS: usize = 3;
const EXCLUDED_CONDITION: usize = 4;
const FIRST_STEP: usize = 5;

/// The aggregate function `funnel_steps`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FunnelStepsFunction {
    signature: Signature,
}

impl Default for FunnelStepsFunction {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

/// A call whose arguments have been checked.
#[derive(Clone, Copy, Debug)]
struct StepsCall {
    rules: FunnelRules,
    scale: TimeScale,
}

fn check_types(arguments: &[Argument]) -> Result<(TimeScale, usize)> {
    let Some(ts) = arguments.get(TS) else {
        let came = format!("{} arguments", arguments.len());
        let wanted = "an order, a window, a tie rule, a time column, an exclusion and conditions";
        return Err(WORDING.wrong("ts", came, wanted));
    };
    let scale = TimeScale::of(&ts.data_type, WORDING)?;
    let excluded = &arguments[EXCLUDED_CONDITION..arguments.len().min(FIRST_STEP)];
    conditions::check(excluded, WORDING)?;
    let steps = conditions::check(arguments.get(FIRST_STEP..).unwrap_or_default(), WORDING)?;
    if steps > STEPS_MAX {
        let came = format!("{steps} steps");
        return Err(WORDING.wrong("c1, c2, …", came, format!("1 to {STEPS_MAX} steps")));
    }
    Ok((scale, steps))
}

impl StepsCall {
    fn new(arguments: &[Argument]) -> Result<Self> {
        let (scale, steps) = check_types(arguments)?;
        let orders = "'ordered', 'strict' or 'any'";
        let order = match WORDING.text("order", &arguments[0], orders)? {
            "ordered" => FunnelOrder::Ordered,
            "strict" => FunnelOrder::Strict,
            "any" => FunnelOrder::Any,
            other => return Err(WORDING.wrong("order", format!("'{other}'"), orders)),
        };
        let within = WORDING.literal("within", &arguments[1], "an interval, a number or NULL")?;
        let within = match within.is_null() {
            true => i64::MAX,
            false => scale.length("within", within, WORDING)?,
        };
        let tie = read_tie(&arguments[2], scale)?;
        if matches!(tie, Tie::Grace(_)) && order != FunnelOrder::Ordered {
            let wanted = "'in_order' or 'later', because only an ordered funnel has a grace";
            return Err(WORDING.wrong("tie", "a grace", wanted));
        }
        let rules = FunnelRules { order, within, tie, steps };
        Ok(Self { rules, scale })
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
        let ts = self.scale.steps(&values[TS])?;
        let mut masks = conditions::masks(&values[FIRST_STEP..], ts.len());
        let excluded = conditions::masks(&values[EXCLUDED_CONDITION..FIRST_STEP], ts.len());
        for (mask, excluded) in masks.iter_mut().zip(excluded) {
            *mask |= excluded * EXCLUDED;
        }
        let counts_all = self.rules.order == FunnelOrder::Strict;
        for (row, mask) in masks.into_iter().enumerate() {
            let counts = (mask != 0 || counts_all)
                && ts.is_valid(row)
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counts {
                let ts = ts.value(row);
                observe(row, Event { ts, mask });
            }
        }
        Ok(())
    }
}

fn read_tie(argument: &Argument, scale: TimeScale) -> Result<Tie> {
    let wanted = "'in_order', 'later', or a grace as an interval or a number";
    let value = WORDING.literal("tie", argument, wanted)?;
    match value.try_as_str() {
        Some(Some("in_order")) => Ok(Tie::InOrder),
        Some(Some("later")) => Ok(Tie::Later),
        Some(_) => Err(WORDING.wrong("tie", format!("'{value}'"), wanted)),
        None => scale.length("tie", value, WORDING).map(Tie::Grace),
    }
}

fn item_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Int64, false))
}

impl AggregateUDFImpl for FunnelStepsFunction {
    fn name(&self) -> &str {
        WORDING.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let untold =
            |data_type: &DataType| Argument { data_type: data_type.clone(), literal: None };
        check_types(&types.iter().map(untold).collect::<Vec<_>>())?;
        Ok(DataType::LargeList(item_field()))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(arguments::check_aggregate(|arguments| StepsCall::new(arguments).map(|_| ())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let call = StepsCall::of(&args)?;
        let events = Vec::new();
        Ok(Box::new(OneCustomer { call, events }))
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
        Ok(Box::new(Customers::new(&args)?))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The events of all groups.
#[derive(Debug)]
struct Customers {
    call: StepsCall,
    events: GroupedEvents,
}

impl Customers {
    fn new(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let call = StepsCall::of(args)?;
        let events = GroupedEvents::default();
        Ok(Self { call, events })
    }
}

impl GroupsAccumulator for Customers {
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
        let rules = self.call.rules;
        let customers = self.events.take(emit_to);
        lists(customers.answers(|events| elapsed_between(&walk(rules, events))))
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
        rows.ensure_groups(values[TS].len())?;
        self.call.for_each_event(values, opt_filter, |row, event| rows.push(row, event))?;
        Ok(rows.take(EmitTo::All).into_state())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.events.size()
    }
}

/// A step within the grace can be earlier than the one before it: that took no time.
fn elapsed_between(times: &[i64]) -> Vec<i64> {
    let first = times.first().map(|_| 0);
    let between = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).max(0));
    first.into_iter().chain(between).collect()
}

fn lists(elapsed: Vec<Vec<i64>>) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(elapsed.iter().map(Vec::len));
    let values = Int64Array::from_iter_values(elapsed.into_iter().flatten());
    let lists = LargeListArray::try_new(item_field(), offsets, Arc::new(values), None)?;
    Ok(Arc::new(lists))
}

/// One group: a query without GROUP BY, or a window frame.
#[derive(Debug)]
struct OneCustomer {
    call: StepsCall,
    events: Vec<Event>,
}

impl Accumulator for OneCustomer {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let events = &mut self.events;
        self.call.for_each_event(values, None, |_, event| events.push(event))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let mut parts = GroupedEvents::default();
        parts.ensure_groups(1)?;
        parts.merge(states, &vec![0; states[0].len()]);
        let merged = parts.take(EmitTo::All).answers(<[Event]>::to_vec);
        self.events.extend(merged.into_iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.events.sort_unstable();
        let elapsed = elapsed_between(&walk(self.call.rules, &self.events));
        ScalarValue::try_from_array(&lists(vec![elapsed])?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = EventsByGroup::of_one_group(&self.events).into_state();
        let first = |column: &ArrayRef| ScalarValue::try_from_array(column, 0);
        state.iter().map(first).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.events.capacity() * size_of::<Event>()
    }
}

//! Aggregates over rows that come group by group: what is open is one group, and the rows of a batch
//! that belong to one group are a range.
//!
//! Where a function has no kernel here, the engine's own accumulator for numbered groups is used.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use habitue_udf::true_rows;
use habitue_udf::window_funnel::{SortedFunnel, WindowFunnelFunction};
use std::ops::Range;
use std::sync::Arc;

/// How an aggregate is computed.
#[derive(Clone, Debug)]
pub(super) enum KernelKind {
    /// `count(*)`.
    Count,
    /// `min` and `max` of whole numbers and times.
    Extreme { largest: bool, data_type: DataType },
    /// `window_funnel` over rows in order of time.
    Funnel(Box<SortedFunnel>),
    /// The engine's.
    Stock,
}

/// The rows of a batch by group.
pub(super) struct GroupedRows<'a> {
    /// The rows of each group, side by side.
    pub(super) ranges: &'a [Range<usize>],
    /// Whether the first of them belong to the group that is open.
    pub(super) continues: bool,
    /// The number of each row's group among those that were not given yet; only of engine's
    /// accumulators they are wanted.
    pub(super) places: &'a [usize],
    /// How many groups were not given yet.
    pub(super) groups: usize,
}

/// The state of an aggregate; of the groups that were not given yet.
pub(super) enum Kernel {
    Count(Vec<i64>),
    Extreme { largest: bool, data_type: DataType, values: Vec<Option<i64>> },
    Funnel(Box<SortedFunnel>),
    Stock(Box<dyn GroupsAccumulator>),
}

impl KernelKind {
    /// The best for this call, over rows of this plan that are sorted by `key` first.
    pub(super) fn of(
        function: &AggregateFunctionExpr,
        key: &Arc<dyn PhysicalExpr>,
        input: &Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let arguments = function.expressions();
        if function.is_distinct() {
            return Ok(Self::Stock);
        }
        if let Some(funnel) = sorted_funnel(function, key, input)? {
            return Ok(Self::Funnel(Box::new(funnel)));
        }
        let [argument] = arguments.as_slice() else {
            return Ok(Self::Stock);
        };
        let data_type = argument.data_type(&input.schema())?;
        let literal = argument.downcast_ref::<Literal>();
        Ok(match function.fun().name() {
            "count" if literal.is_some_and(|literal| !literal.value().is_null()) => Self::Count,
            name @ ("min" | "max") if is_number(&data_type) => {
                Self::Extreme { largest: name == "max", data_type }
            }
            _ => Self::Stock,
        })
    }

    /// Whether the engine's accumulator is used.
    pub(super) fn is_stock(&self) -> bool {
        matches!(self, Self::Stock)
    }

    /// Whether it looks at the values of its arguments.
    pub(super) fn needs_values(&self) -> bool {
        !matches!(self, Self::Count)
    }

    /// No rows yet.
    pub(super) fn start(&self, function: &AggregateFunctionExpr) -> Result<Kernel> {
        Ok(match self {
            Self::Count => Kernel::Count(Vec::new()),
            Self::Extreme { largest, data_type } => {
                let (largest, data_type) = (*largest, data_type.clone());
                Kernel::Extreme { largest, data_type, values: Vec::new() }
            }
            Self::Funnel(funnel) => Kernel::Funnel(funnel.clone()),
            Self::Stock => Kernel::Stock(function.create_groups_accumulator()?),
        })
    }
}

fn is_number(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Timestamp(_, _))
}

/// The funnel of this call, when its rows come by group and by its own time.
fn sorted_funnel(
    function: &AggregateFunctionExpr,
    key: &Arc<dyn PhysicalExpr>,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Option<SortedFunnel>> {
    if function.fun().inner().downcast_ref::<WindowFunnelFunction>().is_none() {
        return Ok(None);
    }
    let (schema, exprs) = (input.schema(), function.expressions());
    let fields = exprs.iter().map(|argument| argument.return_field(&schema));
    let funnel = SortedFunnel::new(&AccumulatorArgs {
        return_field: function.field(),
        schema: &schema,
        ignore_nulls: function.ignore_nulls(),
        order_bys: function.order_bys(),
        is_reversed: function.is_reversed(),
        name: function.name(),
        is_distinct: function.is_distinct(),
        exprs: &exprs,
        expr_fields: &fields.collect::<Result<Vec<_>>>()?,
    })?;
    let Some(order) = input.output_ordering() else {
        return Ok(None);
    };
    let mut order = order.iter().filter(|sorted| !sorted.options.descending);
    let is_first = order.next().is_some_and(|first| first.expr.eq(key));
    let is_second = order.next().is_some_and(|second| second.expr.eq(&exprs[funnel.ts_index()]));
    Ok((is_first && is_second).then_some(funnel))
}

impl Kernel {
    pub(super) fn add(
        &mut self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        rows: &GroupedRows<'_>,
    ) -> Result<()> {
        match self {
            Self::Count(counts) => count(counts, filter, rows),
            Self::Extreme { largest, values: found, .. } => {
                let numbers = cast(&values[0], &DataType::Int64)?;
                extreme(found, *largest, numbers.as_primitive(), filter, rows);
            }
            Self::Funnel(funnel) => funnel.add(values, filter, rows.ranges, rows.continues)?,
            Self::Stock(stock) => stock.update_batch(values, rows.places, filter, rows.groups)?,
        }
        Ok(())
    }

    /// The answers of the first groups, which are over; of all, when `count` is their number.
    pub(super) fn take(&mut self, count: usize, all: bool) -> Result<ArrayRef> {
        Ok(match self {
            Self::Count(counts) => Arc::new(counts.drain(..count).collect::<Int64Array>()),
            Self::Extreme { data_type, values, .. } => {
                let values = values.drain(..count).collect::<Int64Array>();
                cast(&(Arc::new(values) as ArrayRef), data_type)?
            }
            Self::Funnel(funnel) => funnel.take(count),
            Self::Stock(stock) => stock.evaluate(match all {
                true => EmitTo::All,
                false => EmitTo::First(count),
            })?,
        })
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Count(counts) => counts.capacity() * size_of::<i64>(),
            Self::Extreme { values, .. } => values.capacity() * size_of::<Option<i64>>(),
            Self::Funnel(funnel) => funnel.size(),
            Self::Stock(stock) => stock.size(),
        }
    }
}

/// Adds to the group that is open, or begins one.
fn group_of<'a, T: Default>(
    known: &'a mut Vec<T>,
    place: usize,
    rows: &GroupedRows<'_>,
) -> Option<&'a mut T> {
    if place > 0 || !rows.continues {
        known.push(T::default());
    }
    known.last_mut()
}

fn count(counts: &mut Vec<i64>, filter: Option<&BooleanArray>, rows: &GroupedRows<'_>) {
    let first = counts.len() - usize::from(rows.continues && !counts.is_empty());
    counts.resize(first + rows.ranges.len(), 0);
    let mut groups = counts[first..].iter_mut().zip(rows.ranges);
    let Some(filter) = filter else {
        groups.for_each(|(count, range)| *count += range.len() as i64);
        return;
    };
    let mut group = groups.next();
    // Mostly few rows pass: nothing is done for the others.
    for row in true_rows(filter).set_indices() {
        while group.as_ref().is_some_and(|(_, range)| range.end <= row) {
            group = groups.next();
        }
        if let Some((count, _)) = &mut group {
            **count += 1;
        }
    }
}

fn extreme(
    found: &mut Vec<Option<i64>>,
    largest: bool,
    numbers: &PrimitiveArray<Int64Type>,
    filter: Option<&BooleanArray>,
    rows: &GroupedRows<'_>,
) {
    let is_plain = filter.is_none() && numbers.null_count() == 0;
    let passes = |row: &usize| {
        numbers.is_valid(*row)
            && filter.is_none_or(|filter| filter.is_valid(*row) && filter.value(*row))
    };
    for (place, range) in rows.ranges.iter().enumerate() {
        let values = &numbers.values()[range.clone()];
        let of_rows = match (is_plain, largest) {
            (true, true) => values.iter().copied().max(),
            (true, false) => values.iter().copied().min(),
            (false, _) => {
                let values = range.clone().filter(passes).map(|row| numbers.value(row));
                if largest { values.max() } else { values.min() }
            }
        };
        if let Some(known) = group_of(found, place, rows) {
            *known = match (*known, of_rows) {
                (Some(a), Some(b)) => Some(if largest { a.max(b) } else { a.min(b) }),
                (known, new) => known.or(new),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::buffer::NullBuffer;
    use proptest::prelude::*;

    proptest! {
        // If this fails, events are counted for the customer before or behind.
        #[test]
        fn rows_that_pass_are_counted_for_their_group(
            batches in prop::collection::vec(
                (any::<bool>(), prop::collection::vec(prop::collection::vec(any::<Option<bool>>(), 1..30), 1..8)),
                1..4,
            ),
            is_filtered in any::<bool>(),
        ) {
            let (mut counts, mut expected) = (Vec::new(), Vec::<i64>::new());
            for (continues, groups) in batches {
                let continues = continues && !counts.is_empty();
                // What stands under a NULL says nothing, and here the wrong thing.
                let passing = groups.concat();
                let values = passing.iter().map(|one| *one != Some(false)).collect();
                let is_known = passing.iter().map(Option::is_some).collect::<NullBuffer>();
                let passing = BooleanArray::new(values, Some(is_known));
                let mut ranges = Vec::new();
                let mut start = 0;
                for (place, group) in groups.iter().enumerate() {
                    ranges.push(start..start + group.len());
                    start += group.len();
                    if place > 0 || !continues {
                        expected.push(0);
                    }
                    let found = group.iter().filter(|one| !is_filtered || **one == Some(true));
                    *expected.last_mut().unwrap() += found.count() as i64;
                }
                let rows = GroupedRows { ranges: &ranges, continues, places: &[], groups: 0 };
                count(&mut counts, is_filtered.then_some(&passing), &rows);
            }
            prop_assert_eq!(counts, expected);
        }
    }
}

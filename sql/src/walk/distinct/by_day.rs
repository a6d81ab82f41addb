//! Whether a question can be answered from the first row of each day of a customer.
//!
//! It can when it reads times and labels only, and says the same of all times of a day. That is
//! proved by asking: an expression that never falls while time goes on, or never rises, and says the
//! same at the first and the last moment of a day says it all day long.

use crate::walk::days::DAY_US;
use crate::walk::distinct::steps::rising_column;
use crate::walk::exec::CustomerWalkExec;
use crate::walk::label_columns::input_place;
use crate::walk::output::WalkColumn;
use arrow::array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, make_comparator,
    new_null_array,
};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, DynamicFilterPhysicalExpr, Literal,
};
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use std::sync::Arc;

type Expression = Arc<dyn PhysicalExpr>;
type Plan = Arc<dyn ExecutionPlan>;

/// With more days than this nobody asks at the ends of all of them.
const DAYS_MAX: i64 = 1 << 14;

/// The plan over a walk by days, when these expressions over its rows, of which it does not matter
/// how many are alike, have the same values then; `None` otherwise.
pub(super) fn by_day(input: &Plan, expressions: &[Expression]) -> Result<Option<Plan>> {
    if let Some(walk) = input.downcast_ref::<CustomerWalkExec>() {
        let Some(times) = walk.times() else {
            return Ok(None);
        };
        for expression in expressions {
            if !is_steady(expression, walk, times)? {
                return Ok(None);
            }
        }
        return Ok(walk.by_day().map(|walk| Arc::new(walk) as Plan));
    }
    let Some(filter) = input.downcast_ref::<FilterExec>().filter(|filter| filter.fetch().is_none())
    else {
        return Ok(None);
    };
    let mut below = split_conjunction(filter.predicate()).into_iter().cloned().collect::<Vec<_>>();
    for expression in expressions {
        below.push(in_input(expression, filter)?);
    }
    let Some(input) = by_day(filter.input(), &below)? else {
        return Ok(None);
    };
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Ok(Some(Arc::new(filter.clone()).replace_children(vec![input], options)?))
}

/// The expression over the input of a filter.
fn in_input(expression: &Expression, filter: &FilterExec) -> Result<Expression> {
    let moved = Arc::clone(expression).transform(|part| {
        Ok(match part.downcast_ref::<Column>() {
            Some(column) => {
                let place = input_place(filter, column.index());
                let column: Expression = Arc::new(Column::new(column.name(), place));
                Transformed::yes(column)
            }
            None => Transformed::no(part),
        })
    });
    Ok(moved?.data)
}

/// Whether the expression says the same of all rows of a customer that have one day and the same
/// labels. `times` are the first and the last time of all rows.
fn is_steady(expression: &Expression, walk: &CustomerWalkExec, times: (i64, i64)) -> Result<bool> {
    let changes =
        |part: &Expression| part.is_volatile_node() || part.is::<DynamicFilterPhysicalExpr>();
    if expression.exists(|part| Ok(changes(part)))? {
        return Ok(false);
    }
    let mut reads_time = false;
    for column in collect_columns(expression) {
        match walk.columns().get(column.index()) {
            Some(WalkColumn::Time(_)) => reads_time = true,
            Some(WalkColumn::Customer | WalkColumn::Label(_) | WalkColumn::OfLabel(_)) => {}
            _ => return Ok(false),
        }
    }
    let schema = walk.schema();
    match reads_time {
        true => {
            let column = monotone_column(expression, &schema);
            column.map_or(Ok(false), |column| is_steady_by_day(expression, &schema, column, times))
        }
        false => Ok(true),
    }
}

/// The only column of an expression, a time, when the expression never falls while it grows or never
/// rises.
fn monotone_column(expression: &Expression, schema: &Schema) -> Option<usize> {
    let compared = expression.downcast_ref::<BinaryExpr>().filter(|binary| {
        matches!(binary.op(), Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
    });
    match compared {
        Some(binary) if binary.right().is::<Literal>() => rising_column(binary.left(), schema),
        Some(binary) if binary.left().is::<Literal>() => rising_column(binary.right(), schema),
        Some(_) => None,
        None => rising_column(expression, schema),
    }
}

/// Whether a monotone expression over the times in a column says the same at both ends of each day.
fn is_steady_by_day(
    expression: &Expression,
    schema: &Schema,
    column: usize,
    (first, last): (i64, i64),
) -> Result<bool> {
    let days = first.div_euclid(DAY_US)..=last.div_euclid(DAY_US);
    if days.end() - days.start() >= DAYS_MAX {
        return Ok(false);
    }
    let starts = days.map(|day| day.checked_mul(DAY_US)).collect::<Option<Vec<_>>>();
    let Some(starts) =
        starts.filter(|days| days.iter().all(|day| day.checked_add(DAY_US).is_some()))
    else {
        return Ok(false);
    };
    let ends = starts.iter().map(|start| start + DAY_US - 1).collect::<Vec<_>>();
    let at = |times: &[i64]| values_at(expression, schema, column, times);
    // What cannot be told of some time of a day, the query may never have to tell.
    let (Ok(at_start), Ok(at_end)) = (at(&starts), at(&ends)) else {
        return Ok(false);
    };
    let order = make_comparator(&at_start, &at_end, SortOptions::default())?;
    Ok((0..at_start.len()).all(|day| order(day, day).is_eq()))
}

fn values_at(
    expression: &Expression,
    schema: &Schema,
    column: usize,
    times: &[i64],
) -> Result<ArrayRef> {
    let rows = times.len();
    let columns = schema.fields().iter().enumerate().map(|(place, field)| -> ArrayRef {
        match field.data_type() {
            DataType::Timestamp(_, zone) if place == column => {
                let times = TimestampMicrosecondArray::from(times.to_vec());
                Arc::new(times.with_timezone_opt(zone.clone()))
            }
            other => new_null_array(other, rows),
        }
    });
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)?;
    expression.evaluate(&batch)?.into_array(rows)
}

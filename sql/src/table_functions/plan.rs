//! Words for building plans: columns by name, filtered aggregates, windows, calendar numbers.

use super::call::Call;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions_nested::range::range_udf;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, WindowFrame,
    WindowFunctionDefinition, cast, ident, lit,
};
use habitue_udf::calendar::{CalendarUnit, calendar_date_udf, calendar_period_udf};
use std::sync::Arc;

/// A column that the plan made itself.
pub(super) fn column(name: &str) -> Expr {
    ident(name)
}

/// The aggregate over the rows that fulfil the condition only.
pub(super) fn only_where(aggregate: Expr, condition: Expr) -> Result<Expr> {
    aggregate.filter(condition).build()
}

/// The aggregate over all rows of the same partition, whatever their order.
pub(super) fn over_all(
    function: Arc<AggregateUDF>,
    value: Expr,
    filter: Option<Expr>,
    partition_by: Vec<Expr>,
) -> Expr {
    Expr::from(WindowFunction {
        fun: WindowFunctionDefinition::AggregateUDF(function),
        params: WindowFunctionParams {
            args: vec![value],
            partition_by,
            order_by: Vec::<Sort>::new(),
            window_frame: WindowFrame::new(None),
            filter: filter.map(Box::new),
            null_treatment: None,
            distinct: false,
        },
    })
}

/// The numbers from..to, as a list to be unnested.
pub(super) fn numbers_between(from: Expr, to: Expr) -> Expr {
    range_udf().call(vec![from, to])
}

/// `a / b` as a floating point number; NULL when b is 0.
pub(super) fn ratio(a: Expr, b: Expr) -> Expr {
    let (a, b) = (cast(a, DataType::Float64), cast(b, DataType::Float64));
    let is_zero = b.clone().eq(lit(0.0));
    let nothing = Expr::Literal(ScalarValue::Float64(None), None);
    case(is_zero, nothing, a / b)
}

/// `CASE WHEN condition THEN yes ELSE no END`.
pub(super) fn case(condition: Expr, yes: Expr, no: Expr) -> Expr {
    Expr::Case(datafusion::logical_expr::Case {
        expr: None,
        when_then_expr: vec![(Box::new(condition), Box::new(yes))],
        else_expr: Some(Box::new(no)),
    })
}

fn unit_name(unit: CalendarUnit) -> Expr {
    let named = CalendarUnit::NAMES.iter().find(|(_, known)| *known == unit);
    lit(named.map_or("day", |(name, _)| *name))
}

/// The number of the calendar period that a time lies in.
pub(super) fn period_number(unit: CalendarUnit, ts: Expr, zone: &str) -> Expr {
    calendar_period_udf().call(vec![unit_name(unit), ts, lit(zone)])
}

/// The first day of a calendar period.
pub(super) fn period_date(unit: CalendarUnit, number: Expr) -> Expr {
    calendar_date_udf().call(vec![unit_name(unit), number])
}

/// The column of amounts as exact numbers, so that sums do not depend on the order of the rows:
/// decimals as they are, all else as `DECIMAL(18,4)`, like the amounts of events.
pub(super) fn money(call: &mut Call<'_>, name: &'static str) -> Result<Expr> {
    let amount = call.column(name, "amount")?;
    match call.type_of(&amount)? {
        DataType::Decimal128(..) | DataType::Decimal256(..) => Ok(amount),
        number if number.is_numeric() || number.is_null() => Ok(cast(amount, money_type())),
        other => call.wrong(name, format!("{amount} of type {other}")),
    }
}

fn money_type() -> DataType {
    DataType::Decimal128(18, 4)
}

/// An amount of zero.
pub(super) fn no_money() -> Expr {
    Expr::Literal(ScalarValue::Decimal128(Some(0), 18, 4), None)
}

/// The members of a cell as a bitmap.
pub(super) fn members(
    bitmap_agg: &Arc<AggregateUDF>,
    customer: Expr,
    condition: Option<Expr>,
) -> Result<Expr> {
    let members = bitmap_agg.call(vec![customer]);
    let members = match condition {
        Some(condition) => only_where(members, condition)?,
        None => members,
    };
    Ok(members.alias("members"))
}

/// The bitmap without members.
pub(super) fn nobody() -> Result<Expr> {
    let mut bytes = Vec::new();
    roaring::RoaringBitmap::new().serialize_into(&mut bytes)?;
    Ok(Expr::Literal(ScalarValue::Binary(Some(bytes)), None))
}

/// The plan with these window expressions as further columns, by these names.
///
/// DataFusion names a window's column by its text and takes no alias there, so a projection does.
pub(super) fn with_windows(
    input: LogicalPlan,
    windows: Vec<(&str, Expr)>,
) -> Result<LogicalPlanBuilder> {
    let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    columns.extend(windows.iter().map(|(name, window)| {
        Expr::Column(Column::from_name(window.schema_name().to_string())).alias(*name)
    }));
    let windows = windows.into_iter().map(|(_, window)| window);
    let plan = LogicalPlanBuilder::window_plan(input, windows)?;
    LogicalPlanBuilder::from(plan).project(columns)
}

//! `funnel([relation,] step1, step2, …, within => …)`: how many customers reached each step.
//!
//! ```sql
//! SELECT * FROM funnel(event = 'view', event = 'cart', event = 'buy', within => INTERVAL '7' DAY);
//! -- step  name  customers  conversion  conversion_from_previous  median_seconds  p90_seconds
//! --    1  view        586       1.0                       NULL            NULL         NULL
//! --    2  cart        480       0.819…                   0.819…          310.0       1804.5
//! --    3  buy         247       0.421…                   0.514…          122.0        900.0
//! ```
//!
//! Each customer's events are walked by [`funnel_steps`](habitue_udf::funnel_steps), in which an
//! event fills one step. The times are those from one step to the next, of the customers who
//! reached it.

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::{case, column, members, nobody, numbers_between, ratio, with_windows};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{JoinType, Result, ScalarValue, plan_err};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count, min, percentile_cont};
use datafusion::functions_nested::length::array_length;
use datafusion::functions_window::lead_lag::lag;
use datafusion::functions_window::nth_value::first_value;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr, Value};
use habitue_udf::funnel_steps::{FunnelStepsFunction, STEPS_MAX};

pub(super) const SIGNATURE: Signature = Signature {
    name: "funnel",
    positional: Positional::RelationAndConditions,
    parameters: &[
        Parameter::new("within", "an interval without months, or seconds", "INTERVAL '7' DAY"),
        Parameter::new("order", "'ordered', 'strict' or 'any'", "'ordered'"),
        Parameter::new("exclude", "a condition", "event = 'refund'"),
        Parameter::new("hold_constant", "an expression", "product_id"),
        Parameter::new(
            "tie",
            "'in_order', 'later', 'clickhouse', 'amplitude', 'mixpanel' or an interval",
            "'in_order'",
        ),
        Parameter::new("customer", "whose events they are", "user_id"),
        Parameter::new("ts", "a timestamp, a date or an integer", "ordered_at"),
        Parameter::new("members", "true or false", "true"),
    ],
    example: "funnel(events, event = 'visit', event = 'purchase', within => INTERVAL '7' DAY)",
};

const ORDERS: [(&str, &str); 3] = [("ordered", "ordered"), ("strict", "strict"), ("any", "any")];

/// The tie rules by name. ClickHouse takes equal times as in order; Amplitude takes events within
/// a second of each other in either order; Mixpanel lets a step be two seconds early.
const TIES: [(&str, Tie); 5] = [
    ("in_order", Tie::Rule("in_order")),
    ("later", Tie::Rule("later")),
    ("clickhouse", Tie::Rule("in_order")),
    ("amplitude", Tie::GraceSeconds(1)),
    ("mixpanel", Tie::GraceSeconds(2)),
];

#[derive(Debug, Clone, Copy)]
enum Tie {
    Rule(&'static str),
    GraceSeconds(i64),
}

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let steps = read_steps(call)?;
    let (names, conditions): (Vec<String>, Vec<Expr>) = steps.into_iter().unzip();
    let bitmap_agg = call.members()?;
    let ts = call.column("ts", "ts")?;
    let time_type = call.type_of(&ts)?;
    let walks = walks(call, ts, conditions)?;
    let reached = reached(walks, call.is_given("hold_constant"), &time_type)?;
    let mut tallies = vec![
        count(lit(1i64)).alias("reached"),
        percentile_of_times(0.5).alias("median_seconds"),
        percentile_of_times(0.9).alias("p90_seconds"),
    ];
    if let Some(bitmap_agg) = &bitmap_agg {
        tallies.push(members(bitmap_agg, column("customer"), None)?);
    }
    let tally = reached.aggregate(vec![column("reached_step")], tallies)?;
    report(&names, tally.build()?, bitmap_agg.is_some())
}

fn read_steps(call: &mut Call<'_>) -> Result<Vec<(String, Expr)>> {
    let written = call.conditions()?;
    if written.is_empty() || written.len() > STEPS_MAX {
        return plan_err!(
            "funnel wants 1 to {STEPS_MAX} steps. came={} conditions, example: {}",
            written.len(),
            SIGNATURE.example
        );
    }
    Ok(written.into_iter().map(|(written, planned)| (step_name(&written), planned)).collect())
}

/// `event = 'visit'` is called visit; any other condition as it is written.
fn step_name(condition: &SqlExpr) -> String {
    match condition {
        SqlExpr::Nested(inner) => step_name(inner),
        SqlExpr::BinaryOp { op: BinaryOperator::Eq, right, left } => {
            match (left.as_ref(), right.as_ref()) {
                (
                    SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_),
                    SqlExpr::Value(value),
                ) => match &value.value {
                    Value::SingleQuotedString(name) => name.clone(),
                    _ => condition.to_string(),
                },
                _ => condition.to_string(),
            }
        }
        _ => condition.to_string(),
    }
}

/// One row per customer (and constant): the times between the steps, as a list.
fn walks(call: &mut Call<'_>, ts: Expr, conditions: Vec<Expr>) -> Result<LogicalPlanBuilder> {
    let customer = call.column("customer", "customer_id")?;
    let constant = call.expression("hold_constant")?;
    let exclude = call.condition("exclude")?;
    let order = call.choice("order", &ORDERS)?.unwrap_or("ordered");
    let time_type = call.type_of(&ts)?;
    let rules = [lit(order), read_within(call)?, read_tie(call, &time_type)?];
    let mut counts = customer.clone().is_not_null().and(ts.clone().is_not_null());
    if let Some(constant) = &constant {
        counts = counts.and(constant.clone().is_not_null());
    }
    if order != "strict" {
        let marked = conditions.iter().chain(&exclude).cloned().reduce(Expr::or);
        counts = marked.into_iter().fold(counts, Expr::and);
    }
    let mut columns = vec![customer.alias("customer"), ts.alias("ts")];
    columns.push(exclude.unwrap_or_else(|| lit(false)).alias("excluded"));
    let mut keys = vec![column("customer")];
    if let Some(constant) = constant {
        columns.push(constant.alias("constant"));
        keys.push(column("constant"));
    }
    let mut arguments = rules.to_vec();
    arguments.extend([column("ts"), column("excluded")]);
    for (index, condition) in conditions.into_iter().enumerate() {
        let name = format!("step_{}", index + 1);
        columns.push(condition.alias(&name));
        arguments.push(column(&name));
    }
    let elapsed = AggregateUDF::from(FunnelStepsFunction::default()).call(arguments);
    LogicalPlanBuilder::from(call.relation())
        .filter(counts)?
        .project(columns)?
        .aggregate(keys, vec![elapsed.alias("elapsed")])
}

fn read_within(call: &mut Call<'_>) -> Result<Expr> {
    let within = call.literal("within")?.unwrap_or(ScalarValue::Int64(None));
    Ok(Expr::Literal(within, None))
}

fn read_tie(call: &mut Call<'_>, time_type: &DataType) -> Result<Expr> {
    let Some(given) = call.literal("tie")? else {
        return Ok(lit("in_order"));
    };
    if given.try_as_str().is_none() {
        return Ok(Expr::Literal(given, None));
    }
    Ok(match call.choice("tie", &TIES)? {
        // A bare number would mean days beside a date, so only integers get one.
        Some(Tie::GraceSeconds(seconds)) if time_type.is_integer() => lit(seconds),
        Some(Tie::GraceSeconds(seconds)) => {
            let nanoseconds = seconds * 1_000_000_000;
            lit(ScalarValue::new_interval_mdn(0, 0, nanoseconds))
        }
        Some(Tie::Rule(rule)) => lit(rule),
        None => lit("in_order"),
    })
}

/// One row per customer and step that was reached, with the seconds since the step before.
fn reached(
    walks: LogicalPlanBuilder,
    has_constants: bool,
    time_type: &DataType,
) -> Result<LogicalPlanBuilder> {
    let depth = cast(array_length(column("elapsed")), DataType::Int64);
    let seconds = cast(column("elapsed"), DataType::Float64) * lit(seconds_per_step(time_type));
    let is_first = column("reached_step").eq(lit(1i64));
    let reached = walks
        .filter(depth.clone().gt(lit(0i64)))?
        .project(vec![
            column("customer"),
            numbers_between(lit(1i64), depth + lit(1i64)).alias("reached_step"),
            column("elapsed"),
        ])?
        .unnest_columns_with_options(
            vec!["reached_step".into(), "elapsed".into()],
            Default::default(),
        )?
        .project(vec![
            column("customer"),
            column("reached_step"),
            case(is_first, Expr::Literal(ScalarValue::Float64(None), None), seconds)
                .alias("seconds"),
        ])?;
    if !has_constants {
        return Ok(reached);
    }
    // A customer reached a step when any constant did, as fast as the fastest of them.
    let keys = vec![column("customer"), column("reached_step")];
    reached.aggregate(keys, vec![min(column("seconds")).alias("seconds")])
}

/// How many seconds one step of the time column is; an integer counts seconds.
fn seconds_per_step(time_type: &DataType) -> f64 {
    match time_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1e-3,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1e-6,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1e-9,
        DataType::Date32 => 86_400.0,
        _ => 1.0,
    }
}

fn percentile_of_times(percentile: f64) -> Expr {
    percentile_cont(column("seconds").sort(true, false), lit(percentile))
}

/// All steps, also those that nobody reached, with the shares of the first and the previous one.
fn report(names: &[String], tally: LogicalPlan, lists_members: bool) -> Result<LogicalPlan> {
    let rows = names.iter().zip(1i64..).map(|(name, step)| vec![lit(step), lit(name.as_str())]);
    let by_step = || vec![column("step").sort(true, false)];
    let first = first_value(column("customers")).order_by(by_step()).build()?;
    let previous = lag(column("customers"), Some(1), None).order_by(by_step()).build()?;
    let customers = coalesce(vec![column("reached"), lit(0i64)]);
    let mut columns = vec![column("step"), column("name"), customers.alias("customers")];
    columns.extend(["median_seconds", "p90_seconds"].map(column));
    let mut shown = vec![
        column("step"),
        column("name"),
        column("customers"),
        ratio(column("customers"), column("first")).alias("conversion"),
        ratio(column("customers"), column("previous")).alias("conversion_from_previous"),
        column("median_seconds"),
        column("p90_seconds"),
    ];
    if lists_members {
        columns.push(coalesce(vec![column("members"), nobody()?]).alias("members"));
        shown.push(column("members"));
    }
    let all_steps = LogicalPlanBuilder::values(rows.collect())?
        .project(vec![column("column1").alias("step"), column("column2").alias("name")])?;
    let joined = all_steps
        .join(tally, JoinType::Left, (vec!["step"], vec!["reached_step"]), None)?
        .project(columns)?
        .build()?;
    with_windows(joined, vec![("first", first), ("previous", previous)])?.project(shown)?.build()
}

//! `attribution([relation,] model => 'last', …)`: which campaigns led to a goal, and for how much.
//!
//! ```sql
//! SELECT * FROM attribution(model => 'linear', within => INTERVAL '7' DAY) ORDER BY amount DESC;
//! -- touch   conversions    amount  customers
//! -- spring        120.5  10240.25        133
//! -- NULL           98.0   9120.00         96
//! ```
//!
//! Goals are shared among touches by [`attribution`](habitue_udf::attribution) while the rows come
//! customer by customer, and added up over partitions.

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::{column, money, no_money};
use crate::customer_fold::{AttributionFold, Fold, FoldNode};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use habitue_udf::attribution::{AttributionRule, Model};
use habitue_udf::length_in_steps;

pub(super) const SIGNATURE: Signature = Signature {
    name: "attribution",
    positional: Positional::Relation,
    parameters: &[
        Parameter::new(
            "model",
            "'first', 'last', 'linear', 'position' or 'time_decay'",
            "model => 'position'",
        ),
        Parameter::new("within", "an interval without months, or seconds", "INTERVAL '7' DAY"),
        Parameter::new("half_life", "an interval of more than nothing", "INTERVAL '2' DAY"),
        Parameter::new("goal", "a condition", "goal => event = 'signup'"),
        Parameter::new("touch", "what a touch is called; NULL is no touch", "touch => channel"),
        Parameter::new("amount", "a number", "amount => price * quantity"),
        Parameter::new("customer", "whose events they are", "customer => user_id"),
        Parameter::new("ts", "a timestamp or a date", "ts => ordered_at"),
    ],
    example: "attribution(events, model => 'linear', within => INTERVAL '7' DAY)",
};

/// How long before a goal touches count, and how fast they fade, when nobody says.
const WITHIN_DAYS: i32 = 30;
const HALF_LIFE_DAYS: i32 = 7;

#[derive(Clone, Copy)]
enum ModelName {
    First,
    Last,
    Linear,
    Position,
    TimeDecay,
}

const MODELS: [(&str, ModelName); 5] = [
    ("first", ModelName::First),
    ("last", ModelName::Last),
    ("linear", ModelName::Linear),
    ("position", ModelName::Position),
    ("time_decay", ModelName::TimeDecay),
];

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let customer = call.column("customer", "customer_id")?;
    let ts = call.time_column("ts", "ts")?;
    let rule = read_rule(call, &ts)?;
    let touch = call.label("touch", "campaign")?;
    let goal = match call.condition("goal")? {
        Some(goal) => goal,
        None => call.column("goal", "event")?.eq(lit("purchase")),
    };
    let amount = match call.is_given("amount") || call.has_column("amount") {
        true => money(call, "amount")?,
        false => no_money(),
    };
    let scale = match call.type_of(&amount)? {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => scale,
        other => return call.wrong("amount", other),
    };
    let amount = match call.type_of(&amount)? {
        DataType::Decimal128(..) => amount,
        _ => cast(amount, DataType::Decimal128(38, scale)),
    };
    let mut events = LogicalPlanBuilder::from(call.relation());
    // What is neither a touch nor a goal need not be read.
    let matters = touch.clone().is_not_null().or(goal.clone());
    if !matters.is_volatile() {
        events = events.filter(matters)?;
    }
    let events = events
        .project(vec![
            customer.alias("customer"),
            ts.alias("ts"),
            touch.alias("touch"),
            goal.alias("is_goal"),
            amount.alias("amount"),
        ])?
        .build()?;
    let shared = Fold::Attribution(AttributionFold { rule, scale });
    let sums = ["conversions", "amount", "customers"].map(|name| sum(column(name)).alias(name));
    LogicalPlanBuilder::from(FoldNode::plan(shared, vec![events])?)
        .aggregate(vec![column("touch")], sums)?
        .project(vec![
            column("touch"),
            cast(column("conversions"), DataType::Float64).alias("conversions"),
            column("amount"),
            column("customers"),
        ])?
        .build()
}

fn read_rule(call: &mut Call<'_>, ts: &Expr) -> Result<AttributionRule> {
    let ts_type = call.type_of(ts)?;
    let days = |days| {
        let days = ScalarValue::new_interval_mdn(0, days, 0);
        length_in_steps(&ts_type, &days).unwrap_or(i64::MAX)
    };
    let half_life = call.length("half_life", &ts_type)?.unwrap_or_else(|| days(HALF_LIFE_DAYS));
    if half_life == 0 {
        return call.wrong("half_life", 0);
    }
    let model = match call.choice("model", &MODELS)?.unwrap_or(ModelName::Last) {
        ModelName::First => Model::First,
        ModelName::Last => Model::Last,
        ModelName::Linear => Model::Linear,
        ModelName::Position => Model::Position,
        ModelName::TimeDecay => Model::TimeDecay { half_life },
    };
    let within = call.length("within", &ts_type)?.unwrap_or_else(|| days(WITHIN_DAYS));
    Ok(AttributionRule { model, within })
}

//! `customer_profile([customer], …)`: one row per customer that says who it is at a glance.
//!
//! ```sql
//! SELECT * FROM customer_profile(customer_of('email', 'ada@example.com'));
//! ```
//!
//! All measures are aggregates by customer, so over `events` they are one pass without a table of
//! groups.

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::{column, money, no_money, only_where, period_number};
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use habitue_udf::calendar::CalendarUnit;

pub(super) const SIGNATURE: Signature = Signature {
    name: "customer_profile",
    positional: Positional::Parameters,
    parameters: &[
        Parameter::new("customer", "a customer_id; everybody when absent", "customer => 42"),
        Parameter::new("purchase", "a condition", "purchase => event = 'order'"),
        Parameter::new("amount", "a number", "amount => price * quantity"),
        Parameter::new("tz", "a time zone", "tz => 'Europe/Athens'"),
        Parameter::new("ts", "a timestamp or a date", "ts => ordered_at"),
    ],
    example: "customer_profile(customer_of('user_id', 'ada'))",
};

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let own = call.relation_column("customer_id")?;
    let ts = call.time_column("ts", "ts")?;
    let event = call.relation_column("event")?;
    let zone = call.time_zone("tz")?;
    let purchase = match call.condition("purchase")? {
        Some(purchase) => purchase,
        None => event.clone().eq(lit("purchase")),
    };
    let amount = match call.is_given("amount") || call.has_column("amount") {
        true => money(call, "amount")?,
        false => no_money(),
    };
    let wanted = match call.rowless("customer")? {
        Some(customer) => own.clone().eq(customer),
        None => own.clone().is_not_null(),
    };
    let bought = |aggregate, name: &str| {
        Ok::<_, datafusion::error::DataFusionError>(
            only_where(aggregate, purchase.clone())?.alias(name),
        )
    };
    let day = period_number(CalendarUnit::Day, ts.clone(), &zone);
    let measures = vec![
        min(ts.clone()).alias("first_seen"),
        max(ts.clone()).alias("last_seen"),
        count(lit(1_i64)).alias("events"),
        count_distinct(event).alias("kinds"),
        count_distinct(day).alias("active_days"),
        bought(count(lit(1_i64)), "purchases")?,
        bought(sum(amount), "spent")?,
        bought(max(ts), "last_purchase")?,
    ];
    let shown = ["first_seen", "last_seen", "events", "kinds", "active_days", "purchases"];
    let shown = shown.map(column).into_iter();
    let spent = coalesce(vec![column("spent"), no_money()]).alias("spent");
    let shown =
        std::iter::once(column("customer_id")).chain(shown).chain([spent, column("last_purchase")]);
    LogicalPlanBuilder::from(call.relation())
        .filter(wanted)?
        .aggregate(vec![own.alias("customer_id")], measures)?
        .project(shown)?
        .build()
}

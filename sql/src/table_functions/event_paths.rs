//! `event_paths([relation,] steps => 3, …)`: which events follow each other, and how often.
//!
//! ```sql
//! SELECT * FROM event_paths(steps => 3) ORDER BY times DESC LIMIT 2;
//! -- step_1  step_2  step_3  times  customers
//! -- view    view    cart      912        431
//! -- view    cart    buy       640        398
//! ```
//!
//! Paths are counted by [`event_paths`](habitue_udf::event_paths) while the rows come customer by
//! customer, and added up over partitions.

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::column;
use crate::customer_fold::{Fold, FoldNode, PathFold};
use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use habitue_udf::event_paths::{PathRule, STEPS_MAX};

pub(super) const SIGNATURE: Signature = Signature {
    name: "event_paths",
    positional: Positional::Relation,
    parameters: &[
        Parameter::new("steps", "a number of events, 1 to 8", "steps => 3"),
        Parameter::new("after", "a condition on the first event", "after => event = 'search'"),
        Parameter::new("before", "a condition on the last event", "before => event = 'purchase'"),
        Parameter::new("step", "what an event is called", "step => channel"),
        Parameter::new("gap", "an interval without months, or seconds", "INTERVAL '30' MINUTE"),
        Parameter::new("customer", "whose events they are", "customer => user_id"),
        Parameter::new("ts", "a timestamp or a date", "ts => ordered_at"),
    ],
    example: "event_paths(events, steps => 3, before => event = 'purchase')",
};

const STEPS_DEFAULT: i64 = 3;

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let customer = call.column("customer", "customer_id")?;
    let ts = call.time_column("ts", "ts")?;
    let ts_type = call.type_of(&ts)?;
    let step = call.label("step", "event")?;
    let begins = call.condition("after")?.unwrap_or_else(|| lit(true));
    let ends = call.condition("before")?.unwrap_or_else(|| lit(true));
    let steps = call.count("steps")?.unwrap_or(STEPS_DEFAULT);
    let Some(steps) = usize::try_from(steps).ok().filter(|steps| (1..=STEPS_MAX).contains(steps))
    else {
        return call.wrong("steps", steps);
    };
    let rule = PathRule { steps, gap: call.length("gap", &ts_type)? };
    let events = LogicalPlanBuilder::from(call.relation())
        .project(vec![
            customer.alias("customer"),
            ts.alias("ts"),
            step.alias("step"),
            begins.alias("begins"),
            ends.alias("ends"),
        ])?
        .build()?;
    let counted = FoldNode::plan(Fold::EventPaths(PathFold { rule }), vec![events])?;
    let steps = (1..=steps).map(|step| column(&format!("step_{step}"))).collect::<Vec<_>>();
    let sums = ["times", "customers"].map(|name| sum(column(name)).alias(name));
    LogicalPlanBuilder::from(counted).aggregate(steps, sums)?.build()
}

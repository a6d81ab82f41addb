//! `lookalike([relation,] seed => 'vip', size => 100, …)`: who is most like the seed customers.
//!
//! ```sql
//! SELECT customer_id, score, features[1]['feature'] FROM lookalike(seed => 'vip', size => 2);
//! -- customer_id   score  feature
//! --         871  0.9987  view
//! --          12  0.9961  view
//! ```
//!
//! Profiles are made while the rows come customer by customer, and ranked by
//! [`lookalike`](habitue_udf::lookalike).

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use crate::customer_fold::{Fold, FoldNode};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast};
use habitue_udf::lookalike::LookalikeRule;

pub(super) const SIGNATURE: Signature = Signature {
    name: "lookalike",
    positional: Positional::Relation,
    parameters: &[
        Parameter::new(
            "seed",
            "a segment's name, a customer_id or a subquery of them",
            "seed => 'vip'",
        ),
        Parameter::new("size", "a number of customers, more than 0", "size => 1000"),
        Parameter::new("features", "what is counted", "features => product_id"),
        Parameter::new("metric", "'cosine'", "metric => 'cosine'"),
        Parameter::new("min_events", "a number of events", "min_events => 20"),
        Parameter::new("customer", "whose events they are: a whole number", "customer => owner"),
    ],
    example: "lookalike(events, seed => 'vip', size => 1000)",
};

const SIZE_DEFAULT: i64 = 100;

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let customer = call.column("customer", "customer_id")?;
    if !call.type_of(&customer)?.is_integer() {
        return call.wrong("customer", customer);
    }
    let feature = call.label("features", "event")?;
    // There is one metric; a wrong word must not be taken for it.
    call.choice("metric", &[("cosine", ())])?;
    let size = call.count("size")?.unwrap_or(SIZE_DEFAULT);
    let Some(size) = usize::try_from(size).ok().filter(|size| *size > 0) else {
        return call.wrong("size", size);
    };
    let events_min = call.count("min_events")?.unwrap_or(1).unsigned_abs();
    let customer = match call.type_of(&customer)? {
        DataType::Int64 => customer,
        _ => cast(customer, DataType::Int64),
    };
    let seeds = call.customers("seed")?;
    let events = LogicalPlanBuilder::from(call.relation())
        .project(vec![customer.alias("customer"), feature.alias("feature")])?
        .build()?;
    FoldNode::plan(Fold::Lookalike(LookalikeRule { size, events_min }), vec![events, seeds])
}

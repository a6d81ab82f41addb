//! Table functions over a relation: `rfm`, `cohort_retention`, `funnel`, `event_paths` and more.
//!
//! ```sql
//! SELECT * FROM funnel(events, event = 'visit', event = 'purchase', within => INTERVAL '7' DAY);
//! ```
//!
//! Each one takes a relation (a table, a subquery in parentheses, or another table function;
//! `events` when left out), expressions over its columns, and named arguments. A [`Call`] reads
//! and checks them; the function answers a plan of aggregates and joins, so that DataFusion prunes
//! what it reads, uses all cores and spills.

mod as_of;
mod attribution;
mod call;
mod cohort_retention;
mod connected_components;
mod customer_profile;
mod customer_timeline;
mod event_paths;
mod funnel;
mod lookalike;
mod parameter;
mod plan;
mod relation;
mod rfm;
mod tables;

use call::Call;
pub(crate) use connected_components::ComponentsPlanner;
use datafusion::common::{Result, plan_err};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::TableFactor;
use parameter::Signature;
use std::sync::Arc;
use tables::Tables;

/// One table function: how it is called, and what plan it makes of a call.
struct TableFunction {
    signature: &'static Signature,
    plan: fn(&mut Call<'_>) -> Result<LogicalPlan>,
}

const FUNCTIONS: [TableFunction; 9] = [
    TableFunction { signature: &rfm::SIGNATURE, plan: rfm::plan },
    TableFunction { signature: &cohort_retention::SIGNATURE, plan: cohort_retention::plan },
    TableFunction { signature: &funnel::SIGNATURE, plan: funnel::plan },
    TableFunction { signature: &connected_components::SIGNATURE, plan: connected_components::plan },
    TableFunction { signature: &event_paths::SIGNATURE, plan: event_paths::plan },
    TableFunction { signature: &attribution::SIGNATURE, plan: attribution::plan },
    TableFunction { signature: &lookalike::SIGNATURE, plan: lookalike::plan },
    TableFunction { signature: &customer_timeline::SIGNATURE, plan: customer_timeline::plan },
    TableFunction { signature: &customer_profile::SIGNATURE, plan: customer_profile::plan },
];

/// Plans calls of our table functions; hands every other relation on.
#[derive(Debug)]
pub struct TableFunctions {
    tables: Tables,
}

/// Makes the table functions known to a session.
///
/// They find tables in this session, so a context that is derived from it needs its own call.
///
/// # Errors
/// When the session takes no relation planners.
pub fn register_table_functions(context: &SessionContext) -> Result<()> {
    let tables = Tables::of(context);
    context.register_relation_planner(Arc::new(TableFunctions { tables }))
}

/// The names of the table functions, for completion and for suggestions.
pub fn table_function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.signature.name)
}

impl RelationPlanner for TableFunctions {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(function) = called_function(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let TableFactor::Table { alias, .. } = &relation else {
            return plan_err!("{} must be called like a table", function.signature.name);
        };
        let alias = alias.clone();
        let mut call = Call::read(function.signature, relation, &self.tables, context)?;
        let plan = (function.plan)(&mut call)?;
        let named = LogicalPlanBuilder::from(plan).alias(function.signature.name)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(named, alias))))
    }
}

fn called_function(relation: &TableFactor) -> Option<&'static TableFunction> {
    let TableFactor::Table { name, args: Some(_), .. } = relation else {
        return None;
    };
    let [part] = name.0.as_slice() else {
        return None;
    };
    let called = &part.as_ident()?.value;
    FUNCTIONS.iter().find(|function| function.signature.name.eq_ignore_ascii_case(called))
}

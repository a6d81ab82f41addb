//! What the new events alone say about many definitions, in one pass over them.
//!
//! 1. Whom they concern: a customer none of whose new events is [relevant](Relevance) stays what
//!    they were.
//! 2. Of whom they decide: a customer whose new events fulfil a [condition](Condition) that more
//!    events cannot break is a member, whatever else there is of them; and so for those who are not.
//!
//! Only the customers whom they concern without deciding have to be evaluated over all their events.

use crate::error::Result;
use crate::events::EventsTable;
use crate::segments::refresh::clock::Clock;
use crate::segments::refresh::condition::Condition;
use crate::segments::refresh::relevance::Relevance;
use crate::segments::refresh::simple::Simple;
use crate::segments::refresh::together::{Aggregates, any_of};
use crate::segments::row_customers::RowCustomers;
use crate::session::Query;
use arrow::array::AsArray;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use futures::TryStreamExt;
use habitue_storage::event::CUSTOMER_ID;
use habitue_storage::log::action::DataFile;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// What is asked of the new events for one definition.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) relevance: Relevance,
    pub(super) simple: Option<Simple>,
}

/// What new events say about one definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Concerned {
    /// Who may have become a member.
    pub(super) may_enter: RoaringBitmap,
    /// Who may have ceased to be one.
    pub(super) may_leave: RoaringBitmap,
    /// Who is a member.
    pub(super) surely_in: RoaringBitmap,
    /// Who is none.
    pub(super) surely_out: RoaringBitmap,
}

/// The columns of the answer for each definition, in the order of the fields of [`Concerned`].
const COLUMNS: usize = 4;

/// What the events in these files say about each of the definitions.
pub(super) async fn concerned(
    files: &[DataFile],
    definitions: &[Asked],
    query: &Query,
    clock: Clock,
) -> Result<Vec<Concerned>> {
    let mut all = vec![Concerned::default(); definitions.len()];
    let events = EventsTable::new(Arc::new(query.pinned().excerpt(files)));
    let plan = plan(Arc::new(events), definitions)?;
    let mut answer = query.answer_at(plan, clock.now()).await?.stream;
    while let Some(batch) = answer.try_next().await? {
        let customers = RowCustomers::of(&batch, query.pinned())?;
        for (place, concerned) in all.iter_mut().enumerate() {
            let sets = [
                &mut concerned.may_enter,
                &mut concerned.may_leave,
                &mut concerned.surely_in,
                &mut concerned.surely_out,
            ];
            for (number, set) in sets.into_iter().enumerate() {
                let says = batch.column(1 + place * COLUMNS + number).as_boolean();
                *set |= customers.of_true(says);
            }
        }
    }
    Ok(all)
}

fn plan(events: Arc<EventsTable>, definitions: &[Asked]) -> Result<LogicalPlan> {
    let mut wanted = Aggregates::default();
    let mut columns = vec![col(CUSTOMER_ID)];
    for (place, asked) in definitions.iter().enumerate() {
        for (number, column) in columns_of(asked, &mut wanted)?.into_iter().enumerate() {
            columns.push(column.alias(format!("says_{place}_{number}")));
        }
    }
    let mut plan = LogicalPlanBuilder::scan("events", provider_as_source(events), None)?;
    let relevant = definitions
        .iter()
        .flat_map(|asked| [asked.relevance.enter.clone(), asked.relevance.leave.clone()])
        .filter(|filter| *filter != lit(false))
        .collect::<Vec<_>>();
    if !relevant.contains(&lit(true)) {
        plan = plan.filter(any_of(relevant).unwrap_or_else(|| lit(false)))?;
    }
    Ok(plan.aggregate([col(CUSTOMER_ID)], wanted.expressions)?.project(columns)?.build()?)
}

fn columns_of(asked: &Asked, wanted: &mut Aggregates) -> Result<[Expr; COLUMNS]> {
    let enter = wanted.any(Some(&asked.relevance.enter))?;
    let leave = wanted.any(Some(&asked.relevance.leave))?;
    let Some(simple) = &asked.simple else {
        return Ok([enter, leave, lit(false), lit(false)]);
    };
    let condition = Condition::of(simple);
    // Events of other definitions only say nothing.
    let seen = wanted.any(simple.events.as_ref())?;
    let surely = wanted.condition(condition.surely(), simple)?;
    let perhaps = wanted.condition(condition.perhaps(), simple)?;
    Ok([enter, leave, seen.clone().and(surely), seen.and(perhaps.is_not_true())])
}

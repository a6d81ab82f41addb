//! Computing segments: for everybody, or for those of whom the version before and what came since
//! leave something open; one by one, or many in one pass over the events.
//!
//! ```text
//! plan of the definition ── locality ──▶ local?  no ─▶ everybody
//!                                        yes ─▶ changes since the version before:
//!                                               merges, splits (the identity maps),
//!                                               members of segments that it reads,
//!                                               events that the clock moved past
//!                                               ─▶ those customers
//!                                               new and late events (the log) ── relevance ──▶
//!                                               whom they concern, and of whom they decide
//!                                               ─▶ those of whom they do not
//!                                        few ─▶ they are evaluated; the others stay as they were
//! ```
//!
//! Either way the members are exactly those that a whole computation finds.

mod arrivals;
mod changes;
mod clock;
mod condition;
mod evaluation;
mod known;
mod local_columns;
mod locality;
mod relevance;
mod simple;
#[cfg(test)]
mod tests;
mod together;

use crate::error::{Error, Result};
use crate::segments::query::SegmentQuery;
use crate::session::Query;
use arrivals::Asked;
use changes::{Change, Changes};
pub(crate) use clock::Clock;
use datafusion::error::DataFusionError;
use datafusion::execution::{SessionState, SessionStateBuilder};
use evaluation::{Evaluated, Evaluation};
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_storage::log::action::SegmentVersion;
use habitue_storage::log::computation::{Computation, WholeReason};
use known::{Known, all_known};
use locality::{Locality, ensure_nobody_named, locality_of};
use relevance::Relevance;
use roaring::RoaringBitmap;
use simple::Simple;

/// A segment to compute.
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) query: SegmentQuery,
    /// The newest version under the same definition.
    pub(crate) previous: Option<SegmentVersion>,
}

/// What became of it.
pub(crate) struct Computed {
    pub(crate) members: RoaringBitmap,
    pub(crate) computation: Computation,
}

/// One refresh: segments from one snapshot at one time.
pub(crate) struct Refresh<'a> {
    query: &'a Query,
    clock: Clock,
    /// What definitions are analysed in.
    analysis: SessionState,
    changes: Changes,
}

/// A definition with what is known about it.
struct Planned {
    definition: Definition,
    locality: std::result::Result<Locality, WholeReason>,
    asked: Asked,
    /// What changed since the version before; `None` when that cannot be told.
    change: Option<Change>,
    /// What follows from it; `None` when everybody is evaluated.
    known: Option<Known>,
}

/// Optimiser rules that would hide what a plan is searched for: common parts are cut out of the
/// comparisons with the clock, members of `properties` become columns that no other scan has, and a
/// segment in which nobody is today is not read at all.
const HIDING: [&str; 3] = ["common_sub_expression_eliminate", "json_members", "bitmap_pruning"];

impl<'a> Refresh<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        let clock = Clock::at(query.pinned().store().bucket().local_now());
        Self { query, clock, analysis: analysis(query, clock), changes: Changes::default() }
    }

    /// Computes segments that do not read each other, in the order in which they came.
    pub(crate) fn compute<'s>(
        &'s mut self,
        definitions: Vec<Definition>,
    ) -> BoxFuture<'s, Result<Vec<Computed>>> {
        self.compute_each(definitions).boxed()
    }

    async fn compute_each(&mut self, definitions: Vec<Definition>) -> Result<Vec<Computed>> {
        let mut planned = Vec::with_capacity(definitions.len());
        for definition in definitions {
            planned.push(self.plan(definition).await?);
        }
        let known = all_known(&planned, self.query, self.clock).await?;
        for (planned, known) in planned.iter_mut().zip(known) {
            planned.known = known.filter(|known| self.are_few(&known.open));
        }
        let evaluation = Evaluation { query: self.query, clock: self.clock };
        let evaluated = evaluation.of_all(&planned).await?;
        let computed = planned.into_iter().zip(evaluated);
        Ok(computed.map(|(planned, evaluated)| self.computed(planned, evaluated)).collect())
    }

    /// Computes one segment; its error is not marked as that of a segment among others.
    pub(crate) async fn compute_one(&mut self, definition: Definition) -> Result<Computed> {
        match self.compute(vec![definition]).await {
            Ok(computed) => computed
                .into_iter()
                .next()
                .ok_or_else(|| internal("a segment was not computed".into())),
            Err(Error::InSegment { source, .. }) => Err(*source),
            Err(error) => Err(error),
        }
    }

    async fn plan(&mut self, definition: Definition) -> Result<Planned> {
        let plan = &definition.query.plan;
        // Subqueries are joins then, and `now()` stands as it was written.
        let analysed = self.analysis.optimize(plan);
        let locality = match &analysed {
            Ok(analysed) => ensure_nobody_named(plan).and_then(|()| locality_of(analysed)),
            // What cannot be optimised fails again, and says why, when it is run.
            Err(_) => Err(WholeReason::AcrossCustomers),
        };
        let change = match (&locality, &definition.previous) {
            (Ok(locality), Some(previous)) => {
                self.changes.since(previous, locality, self.query, self.clock).await?
            }
            _ => None,
        };
        let simple = Simple::of(plan);
        let relevance = match (&simple, &analysed) {
            (Some(simple), _) => Relevance::of_simple(simple),
            (None, Ok(analysed)) => Relevance::of_plan(analysed),
            (None, Err(_)) => Relevance::of_plan(plan),
        };
        let asked = Asked { relevance, simple };
        Ok(Planned { definition, locality, asked, change, known: None })
    }

    /// A restricted evaluation costs more for each customer than a whole one.
    fn are_few(&self, changed: &RoaringBitmap) -> bool {
        changed.len() * 2 <= self.query.pinned().identities().customers_len()
    }

    fn computed(&self, planned: Planned, (found, among): Evaluated) -> Computed {
        let computation = Computation {
            now_us: clock::is_universal(&self.analysis).then(|| self.clock.now_us()),
            customers_evaluated: among.as_ref().map(|customers| customers.len()),
            new_events: planned.known.as_ref().map(|known| known.new_events),
            always_whole: planned.locality.err(),
        };
        let members = match (planned.known, among) {
            (Some(known), Some(among)) => (known.members - &*among) | (found & &*among),
            _ => found,
        };
        Computed { members, computation }
    }
}

/// The state of a query without the rules that hide something, and without a time.
fn analysis(query: &Query, clock: Clock) -> SessionState {
    let state = query.state_at(clock.now());
    let rules = state.optimizers().iter();
    let rules = rules.filter(|rule| !HIDING.contains(&rule.name())).cloned().collect();
    let mut state =
        SessionStateBuilder::new_from_existing(state).with_optimizer_rules(rules).build();
    state.execution_props_mut().query_execution_start_time = None;
    state
}

fn internal(fault: String) -> Error {
    Error::from(DataFusionError::Internal(fault))
}

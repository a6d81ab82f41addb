//! Computing segments: for everybody, or for those of whom something changed since the version
//! before; one by one, or many in one pass over the events.
//!
//! ```text
//! plan of the definition ── locality ──▶ local?  no ─▶ everybody
//!                                        yes ─▶ changes since the version before:
//!                                               new and late events, merges, splits (the log),
//!                                               members of segments that it reads,
//!                                               events that the clock moved past
//!                                        few ─▶ those customers; the others stay as they were
//! ```
//!
//! Either way the members are exactly those that a whole computation finds.

mod changes;
mod clock;
mod locality;
mod together;

use crate::error::{Error, Result};
use crate::events::EventsTable;
use crate::segments::Members;
use crate::segments::membership::is_in_segment;
use crate::segments::query::SegmentQuery;
use crate::session::{Query, SegmentKey};
use arrow::array::{AsArray, RecordBatch};
use changes::Changes;
pub(crate) use clock::Clock;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::Transformed;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::FutureExt;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use habitue_storage::event::CUSTOMER_ID;
use habitue_storage::log::action::SegmentVersion;
use habitue_storage::log::computation::{Computation, WholeReason};
use locality::{Locality, ensure_nobody_named, locality_of};
use roaring::RoaringBitmap;
use std::sync::Arc;
use together::{Simple, together};

/// The name under which a restricted evaluation finds its customers; no segment can have it.
const EVALUATED: &str = "\u{0}evaluated";

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
    changes: Changes,
}

/// A definition with what is known about it.
struct Planned {
    definition: Definition,
    locality: std::result::Result<Locality, WholeReason>,
    /// Who has to be evaluated; `None` is everybody.
    customers: Option<RoaringBitmap>,
}

impl<'a> Refresh<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        let now = query.pinned().store().bucket().local_now();
        Self { query, clock: Clock::at(now), changes: Changes::default() }
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
        let whole = self.evaluated(&planned, None).await?;
        let changed = union_of(&planned);
        let changed = self.evaluated(&planned, changed.map(Arc::new)).await?;
        let mut computed = Vec::with_capacity(planned.len());
        for ((planned, whole), changed) in planned.into_iter().zip(whole).zip(changed) {
            computed.push(self.computed(planned, whole.or(changed)).await?);
        }
        Ok(computed)
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
        let locality = match self.analysed(plan) {
            Ok(analysed) => ensure_nobody_named(plan).and_then(|()| locality_of(&analysed)),
            // What cannot be optimised fails again, and says why, when it is run.
            Err(_) => Err(WholeReason::AcrossCustomers),
        };
        let customers = match (&locality, &definition.previous) {
            (Ok(locality), Some(previous)) => {
                let customers = self.changes.since(previous, locality, self.query, self.clock);
                customers.await?.filter(|changed| self.are_few(changed))
            }
            _ => None,
        };
        Ok(Planned { definition, locality, customers })
    }

    /// The plan with subqueries as joins, and with `now()` as it was written.
    fn analysed(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let state = self.query.state_at(self.clock.now());
        // Common parts would be cut out of the comparisons with the clock.
        let rules = state.optimizers().iter();
        let rules = rules.filter(|rule| rule.name() != "common_sub_expression_eliminate").cloned();
        let rules = rules.collect();
        let mut state =
            SessionStateBuilder::new_from_existing(state).with_optimizer_rules(rules).build();
        state.execution_props_mut().query_execution_start_time = None;
        Ok(state.optimize(plan)?)
    }

    /// A restricted evaluation costs more for each customer than a whole one.
    fn are_few(&self, changed: &RoaringBitmap) -> bool {
        changed.len() * 2 <= self.query.pinned().identities().customers().len()
    }

    /// The members among `customers` of all definitions that are evaluated for these, or of all
    /// that are evaluated for everybody; nothing for the others.
    async fn evaluated(
        &self,
        planned: &[Planned],
        customers: Option<Arc<RoaringBitmap>>,
    ) -> Result<Vec<Option<Evaluated>>> {
        let is_meant = |one: &&Planned| one.customers.is_some() == customers.is_some();
        let meant = planned.iter().filter(is_meant).collect::<Vec<_>>();
        let members = self.members(&meant, customers.as_ref()).await?;
        let mut members = members.into_iter();
        let evaluated = planned.iter().map(|one| match is_meant(&one) {
            true => members.next().map(|members| (members, customers.clone())),
            false => None,
        });
        Ok(evaluated.collect())
    }

    async fn members(
        &self,
        planned: &[&Planned],
        customers: Option<&Arc<RoaringBitmap>>,
    ) -> Result<Vec<RoaringBitmap>> {
        let mut members = vec![None; planned.len()];
        let simple = planned.iter().enumerate().filter_map(|(place, one)| {
            Simple::of(&one.definition.query.plan).map(|simple| (place, simple))
        });
        let (places, simple): (Vec<_>, Vec<_>) = simple.unzip();
        if simple.len() > 1
            && let Ok(found) = self.members_together(&simple, customers).await
        {
            // If it fails, the definition that fails is found when they run one by one.
            places.iter().zip(found).for_each(|(&place, found)| members[place] = Some(found));
        }
        let mut all = Vec::with_capacity(planned.len());
        for (planned, known) in planned.iter().zip(members) {
            all.push(match known {
                Some(known) => known,
                None => self.members_of(&planned.definition, customers).await?,
            });
        }
        Ok(all)
    }

    async fn members_together(
        &self,
        definitions: &[Simple],
        customers: Option<&Arc<RoaringBitmap>>,
    ) -> Result<Vec<RoaringBitmap>> {
        let plan = self.restricted(together(definitions)?, customers)?;
        let mut answer = self.query.answer_at(plan, self.clock.now()).await?.stream;
        let mut members = vec![RoaringBitmap::new(); definitions.len()];
        while let Some(batch) = answer.try_next().await? {
            for (place, members) in members.iter_mut().enumerate() {
                let is_member = batch.column(place + 1).as_boolean();
                let is_member = is_member.iter().map(|yes| yes == Some(true)).collect();
                let of_segment = arrow::compute::filter_record_batch(
                    &batch.project(&[0]).map_err(arrow_error)?,
                    &is_member,
                );
                self.add(&of_segment.map_err(arrow_error)?, members)?;
            }
        }
        Ok(members)
    }

    async fn members_of(
        &self,
        definition: &Definition,
        customers: Option<&Arc<RoaringBitmap>>,
    ) -> Result<RoaringBitmap> {
        let members = async {
            let plan = self.restricted(definition.query.plan.clone(), customers)?;
            let mut answer = self.query.answer_at(plan, self.clock.now()).await?.stream;
            let mut members = RoaringBitmap::new();
            while let Some(batch) = answer.try_next().await? {
                self.add(&batch, &mut members)?;
            }
            Ok(members)
        };
        members.await.map_err(|error: Error| Error::InSegment {
            name: definition.name.clone(),
            source: Box::new(error),
        })
    }

    fn add(&self, batch: &RecordBatch, members: &mut RoaringBitmap) -> Result<()> {
        crate::segments::query::add_customers(batch, self.query.pinned(), members)
    }

    /// The plan over the events of these customers only.
    fn restricted(
        &self,
        plan: LogicalPlan,
        customers: Option<&Arc<RoaringBitmap>>,
    ) -> Result<LogicalPlan> {
        let Some(customers) = customers else {
            return Ok(plan);
        };
        let pinned = self.query.pinned();
        pinned.set_members(EVALUATED, Arc::new(Members::shared(customers.clone())));
        let key: SegmentKey = (EVALUATED.to_owned(), None);
        let restricted = plan.transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(scan) = &node else {
                return Ok(Transformed::no(node));
            };
            let provider = source_as_provider(&scan.source)?;
            if provider.downcast_ref::<EventsTable>().is_none() {
                return Ok(Transformed::no(node));
            }
            let customer = Column::new(Some(scan.table_name.clone()), CUSTOMER_ID);
            let filter = is_in_segment(Expr::Column(customer), &key, pinned);
            let filtered = LogicalPlanBuilder::from(node).filter(filter)?.build()?;
            Ok(Transformed::yes(filtered))
        })?;
        Ok(restricted.data)
    }

    async fn computed(&self, planned: Planned, found: Option<Evaluated>) -> Result<Computed> {
        let Planned { definition, locality, .. } = planned;
        let name = &definition.name;
        let (found, customers) =
            found.ok_or_else(|| internal(format!("segment '{name}' was not evaluated")))?;
        let state = self.query.state_at(self.clock.now());
        let computation = Computation {
            now_us: clock::is_universal(&state).then(|| self.clock.now_us()),
            customers_evaluated: customers.as_ref().map(|customers| customers.len()),
            always_whole: locality.err(),
        };
        let members = match (customers, &definition.previous) {
            (Some(customers), Some(previous)) => {
                let before = Members::load(self.query.pinned(), previous).await?;
                (before.today() - &*customers) | (found & &*customers)
            }
            _ => found,
        };
        Ok(Computed { members, computation })
    }
}

/// Members, and among whom; `None` is everybody.
type Evaluated = (RoaringBitmap, Option<Arc<RoaringBitmap>>);

/// Everybody who has to be evaluated for any of those that are not evaluated for all. To evaluate
/// more customers than a definition needs changes nothing for it.
fn union_of(planned: &[Planned]) -> Option<RoaringBitmap> {
    planned.iter().filter_map(|one| one.customers.clone()).reduce(|all, one| all | one)
}

fn internal(fault: String) -> Error {
    Error::from(DataFusionError::Internal(fault))
}

fn arrow_error(error: arrow::error::ArrowError) -> Error {
    Error::from_datafusion(error.into(), "")
}

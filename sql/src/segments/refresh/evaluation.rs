//! Evaluating definitions for everybody, or for some customers.

use crate::error::{Error, Result};
use crate::events::EventsTable;
use crate::segments::Members;
use crate::segments::membership::is_in_segment;
use crate::segments::refresh::clock::Clock;
use crate::segments::refresh::simple::Simple;
use crate::segments::refresh::together::together;
use crate::segments::refresh::{Definition, Planned};
use crate::segments::row_customers::RowCustomers;
use crate::session::{Query, SegmentKey};
use arrow::array::AsArray;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::TryStreamExt;
use habitue_storage::event::CUSTOMER_ID;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// The name under which a restricted evaluation finds its customers; no segment can have it.
const EVALUATED: &str = "\u{0}evaluated";

/// Members, and among whom; `None` is everybody.
pub(super) type Evaluated = (RoaringBitmap, Option<Arc<RoaringBitmap>>);

/// Evaluates definitions over one snapshot at one time.
#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a> {
    pub(super) query: &'a Query,
    pub(super) clock: Clock,
}

impl Evaluation<'_> {
    /// What became of each definition: simple ones in one pass for everybody and one for those of
    /// whom something is open, others one by one.
    pub(super) async fn of_all(self, planned: &[Planned]) -> Result<Vec<Evaluated>> {
        let mut evaluated = vec![None; planned.len()];
        self.evaluate_together(planned, Whom::Everybody, &mut evaluated).await?;
        self.evaluate_together(planned, Whom::Some, &mut evaluated).await?;
        let mut all = Vec::with_capacity(planned.len());
        for (planned, evaluated) in planned.iter().zip(evaluated) {
            all.push(match evaluated {
                Some(evaluated) => evaluated,
                None => self.of_one(planned).await?,
            });
        }
        Ok(all)
    }

    /// Evaluates those of the simple definitions for whom this is wanted, if there are several. To
    /// evaluate more customers than a definition needs changes nothing for it.
    async fn evaluate_together(
        self,
        planned: &[Planned],
        whom: Whom,
        evaluated: &mut [Option<Evaluated>],
    ) -> Result<()> {
        let is_meant = |one: &Planned| match (&one.known, whom) {
            (None, Whom::Everybody) => true,
            (Some(known), Whom::Some) => !known.open.is_empty(),
            _ => false,
        };
        let simple = planned.iter().enumerate().filter(|(_, one)| is_meant(one));
        let simple = simple.filter_map(|(place, one)| Some((place, one.asked.simple.clone()?)));
        let (places, simple): (Vec<_>, Vec<_>) = simple.unzip();
        if simple.len() < 2 {
            return Ok(());
        }
        let open = places.iter().filter_map(|&place| planned[place].known.as_ref());
        let open = open.map(|known| known.open.as_ref().clone());
        let open = open.reduce(|all, one| all | one).map(Arc::new);
        // If it fails, the definition that fails is found when they run one by one.
        if let Ok(found) = self.members_together(&simple, open.as_ref()).await {
            for (&place, found) in places.iter().zip(found) {
                evaluated[place] = Some((found, open.clone()));
            }
        }
        Ok(())
    }

    async fn of_one(self, planned: &Planned) -> Result<Evaluated> {
        let open = planned.known.as_ref().map(|known| known.open.clone());
        let members = match &open {
            Some(open) if open.is_empty() => RoaringBitmap::new(),
            _ => self.members_of(&planned.definition, open.as_ref()).await?,
        };
        Ok((members, open))
    }

    async fn members_together(
        self,
        definitions: &[Simple],
        customers: Option<&Arc<RoaringBitmap>>,
    ) -> Result<Vec<RoaringBitmap>> {
        let plan = self.restricted(together(definitions)?, customers)?;
        let mut answer = self.query.answer_at(plan, self.clock.now()).await?.stream;
        let mut members = vec![RoaringBitmap::new(); definitions.len()];
        while let Some(batch) = answer.try_next().await? {
            let customers = RowCustomers::of(&batch, self.query.pinned())?;
            for (place, members) in members.iter_mut().enumerate() {
                *members |= customers.of_true(batch.column(place + 1).as_boolean());
            }
        }
        Ok(members)
    }

    async fn members_of(
        self,
        definition: &Definition,
        customers: Option<&Arc<RoaringBitmap>>,
    ) -> Result<RoaringBitmap> {
        let members = async {
            let plan = self.restricted(definition.query.plan.clone(), customers)?;
            let mut answer = self.query.answer_at(plan, self.clock.now()).await?.stream;
            let mut members = RoaringBitmap::new();
            while let Some(batch) = answer.try_next().await? {
                members |= RowCustomers::of(&batch, self.query.pinned())?.all();
            }
            Ok(members)
        };
        members.await.map_err(|error: Error| Error::InSegment {
            name: definition.name.clone(),
            source: Box::new(error),
        })
    }

    /// The plan over the events of these customers only.
    fn restricted(
        self,
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
}

/// For whom a definition is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Everybody,
    /// Those of whom something is open.
    Some,
}

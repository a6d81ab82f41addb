//! What changed since a segment was computed.

use crate::error::Result;
use crate::segments::Members;
use crate::segments::members::customers_today;
use crate::segments::refresh::clock::{Clock, crossed, is_universal};
use crate::segments::refresh::locality::{ClockComparison, Locality};
use crate::segments::row_customers::RowCustomers;
use crate::session::{CATALOG, MAIN, Query, SegmentKey};
use datafusion::logical_expr::col;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use habitue_storage::differences::Differences;
use habitue_storage::event::CUSTOMER_ID;
use habitue_storage::log::action::SegmentVersion;
use habitue_storage::snapshot::Snapshot;
use roaring::RoaringBitmap;
use std::collections::HashMap;
use std::sync::Arc;

/// What changed since the versions that a refresh looked at.
#[derive(Default)]
pub(super) struct Changes {
    /// By the version since when; `None` where the history does not tell.
    by_version: HashMap<u64, Option<Known>>,
    /// By the clock alone, by when it was looked at before.
    by_clock: HashMap<i64, Vec<(Vec<ClockComparison>, RoaringBitmap)>>,
}

type Known = (Arc<Snapshot>, Arc<Differences>);

/// What changed for one definition.
#[derive(Clone)]
pub(super) struct Change {
    /// Whose membership may differ whatever the new events are.
    pub(super) customers: RoaringBitmap,
    /// Where the new events are.
    pub(super) since: Arc<Differences>,
}

impl Changes {
    /// What changed since that version of a local definition; `None` when that is not known.
    pub(super) fn since<'s>(
        &'s mut self,
        version: &'s SegmentVersion,
        locality: &'s Locality,
        query: &'s Query,
        now: Clock,
    ) -> BoxFuture<'s, Result<Option<Change>>> {
        self.looked_up(version, locality, query, now).boxed()
    }

    async fn looked_up(
        &mut self,
        version: &SegmentVersion,
        locality: &Locality,
        query: &Query,
        now: Clock,
    ) -> Result<Option<Change>> {
        let Some(computation) = &version.computation else {
            return Ok(None);
        };
        let Some((before, since)) = self.of_data(version.computed_at, query).await? else {
            return Ok(None);
        };
        let mut customers = since.moved.clone();
        if locality.asks_identities {
            customers |= &since.joined;
        }
        for key in &locality.segments {
            match members_changed(key, &before, query).await? {
                Some(members) => customers |= members,
                None => return Ok(None),
            }
        }
        if !locality.clocks.is_empty() {
            let Some(then) = computation.now_us.and_then(Clock::at_us) else {
                return Ok(None);
            };
            match self.of_clock(&locality.clocks, then, now, query).await? {
                Some(crossed) => customers |= crossed,
                None => return Ok(None),
            }
        }
        Ok(Some(Change { customers, since }))
    }

    async fn of_data(&mut self, version: u64, query: &Query) -> Result<Option<Known>> {
        if let Some(known) = self.by_version.get(&version) {
            return Ok(known.clone());
        }
        let (store, now) = (query.pinned().store(), query.pinned().snapshot());
        let found = match store.snapshot_at(version).await {
            Ok(before) => {
                let differences = store.differences(&before, now).await?;
                differences.map(|differences| (before, Arc::new(differences)))
            }
            // Too old to be read.
            Err(_) => None,
        };
        self.by_version.insert(version, found.clone());
        Ok(found)
    }

    /// The customers with an event that the clock moved past.
    async fn of_clock(
        &mut self,
        comparisons: &[ClockComparison],
        then: Clock,
        now: Clock,
        query: &Query,
    ) -> Result<Option<RoaringBitmap>> {
        let known = self.by_clock.entry(then.now_us()).or_default();
        if let Some((_, customers)) = known.iter().find(|(asked, _)| asked == comparisons) {
            return Ok(Some(customers.clone()));
        }
        let state = query.state_at(now.now());
        if !is_universal(&state) {
            return Ok(None);
        }
        let Some(crossed) = crossed(comparisons, then, now, &state)? else {
            return Ok(Some(RoaringBitmap::new()));
        };
        let events = query.context().table(format!("{CATALOG}.{MAIN}.events")).await?;
        let customers = events.filter(crossed)?.select([col(CUSTOMER_ID)])?.distinct()?;
        let plan = customers.into_unoptimized_plan();
        let mut answer = query.answer_at(plan, now.now()).await?.stream;
        let mut customers = RoaringBitmap::new();
        while let Some(batch) = answer.try_next().await? {
            customers |= RowCustomers::of(&batch, query.pinned())?.all();
        }
        known.push((comparisons.to_vec(), customers.clone()));
        Ok(Some(customers))
    }
}

/// Who came into a segment or left it since a snapshot, in any version between; `None` when it was
/// another segment then.
async fn members_changed(
    key: &SegmentKey,
    before: &Snapshot,
    query: &Query,
) -> Result<Option<RoaringBitmap>> {
    let (name, number) = key;
    if number.is_some() {
        return Ok(Some(RoaringBitmap::new()));
    }
    let pinned = query.pinned();
    let store = pinned.store();
    let id = pinned.segment(name)?.id;
    let catalog_before = store.catalog(before).await?;
    if catalog_before.segments.get(name).map(|segment| segment.id) != Some(id) {
        return Ok(None);
    }
    let versions = |snapshot: &Snapshot| snapshot.segment_versions.get(&id).cloned();
    let seen = versions(before).and_then(|versions| Some(versions.last()?.number)).unwrap_or(0);
    let mut changed = RoaringBitmap::new();
    let versions = versions(pinned.snapshot()).unwrap_or_default();
    for version in versions.iter().filter(|version| version.number > seen) {
        // Their numbers are of when they came and went, or even older: of who was a member and had
        // merged with somebody since.
        for object in [&version.entered, &version.left] {
            let moved = store.segment_bitmap(object).await?;
            changed |= customers_today(&moved, pinned.identities());
        }
    }
    // What this refresh has computed and not published yet.
    if let (Some(version), Some(members)) = (versions.last(), pinned.members(key)) {
        changed |= Members::load(pinned, version).await?.today() ^ members.today();
    }
    Ok(Some(changed))
}

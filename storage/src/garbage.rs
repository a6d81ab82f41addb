//! Deleting what no readable version names.
//!
//! 1. The store's clock is asked; what is younger than the grace is nobody's garbage: a writer may
//!    be about to name it.
//! 2. The whole log is read, entry by entry, never a checkpoint: it says what is named.
//! 3. The folders of the layout are listed; old objects that are not named are candidates.
//! 4. A commit announces it: the oldest version that stays readable, and the age from which on
//!    objects may go. Readers and stalled writers find out from the log (see
//!    [`commit`](crate::log::commit)).
//! 5. What others committed between 2 and 4 is read too, and spared.
//! 6. The rest is deleted.
//!
//! A version expires only when it has not been the newest for longer than the grace, so that a
//! reader that holds it can finish. The log itself is never deleted.

use crate::bucket::{Bucket, ListedObject};
use crate::error::{Error, Result};
use crate::layout;
use crate::log::action::{Action, LogEntry, Operation};
use crate::log::commit::{CommitOutcome, DraftCommit};
use crate::log::{check, replay};
use crate::snapshot::Snapshot;
use crate::store::Store;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// So many objects are deleted at once.
const DELETES_AT_ONCE: usize = 16;
/// The grace unless somebody says otherwise: an ingest must not take longer.
pub const GRACE_DEFAULT: Duration = Duration::from_hours(24);

/// Which versions stay readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepVersions {
    /// All that are readable now.
    #[default]
    All,
    /// The newest ones, this many.
    Last(u64),
    /// Each version that was the newest at this time or later.
    Since(DateTime<Utc>),
}

/// Whether garbage is deleted or only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GarbageMode {
    /// Nothing is written and nothing is deleted.
    DryRun,
    /// Garbage is deleted.
    #[default]
    Delete,
}

/// What [`Store::collect_garbage`] should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GarbageOptions {
    /// Which versions stay readable.
    pub keep: KeepVersions,
    /// What is younger than this stays.
    pub grace: Duration,
    /// Whether to delete.
    pub mode: GarbageMode,
}

impl Default for GarbageOptions {
    fn default() -> Self {
        Self { keep: KeepVersions::default(), grace: GRACE_DEFAULT, mode: GarbageMode::default() }
    }
}

/// What was deleted, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// The oldest version that is readable afterwards.
    pub oldest_readable: u64,
    /// How many versions became unreadable.
    pub versions_expired: u64,
    /// The objects that were deleted, or would be, by path.
    pub deleted: Vec<ListedObject>,
    /// Objects that no version names and that are too young to go.
    pub spared_young: u64,
}

impl GarbageReport {
    /// The size of all that was deleted, or would be.
    pub fn bytes_deleted(&self) -> u64 {
        self.deleted.iter().map(|object| object.bytes).sum()
    }
}

impl Store {
    /// Makes old versions unreadable and deletes what no readable version names.
    ///
    /// # Errors
    /// What reading the log or the store says. Whatever was deleted by then was garbage.
    pub async fn collect_garbage(&self, options: GarbageOptions) -> Result<GarbageReport> {
        let cutoff = cutoff_of(self.bucket(), options.grace).await?;
        let head = self.snapshot().await?;
        let before = head.oldest_readable.max(1);
        let wanted = self.oldest_wanted(&head, options.keep).await?.clamp(before, head.version);
        let oldest = newest_long_superseded(self.bucket(), before, wanted, cutoff).await?;
        let named = named_since(self.bucket(), oldest, head.version).await?;
        let (mut garbage, spared_young) =
            unnamed_objects(self.bucket(), &named, oldest, cutoff).await?;
        let is_idle = garbage.is_empty() && oldest == before;
        if options.mode == GarbageMode::Delete && !is_idle {
            let announced = self.announce(&head, oldest, cutoff).await?;
            let since = named_between(self.bucket(), head.version + 1, announced.version).await?;
            garbage.retain(|object| !since.contains(&object.path));
            delete_all(self.bucket(), &garbage).await?;
        }
        Ok(GarbageReport {
            oldest_readable: oldest,
            versions_expired: oldest - before,
            deleted: garbage,
            spared_young,
        })
    }

    async fn oldest_wanted(&self, head: &Snapshot, keep: KeepVersions) -> Result<u64> {
        match keep {
            KeepVersions::All => Ok(0),
            KeepVersions::Last(versions) => Ok((head.version + 1).saturating_sub(versions.max(1))),
            KeepVersions::Since(time) => match self.snapshot_as_of(time).await {
                Ok(snapshot) => Ok(snapshot.version),
                Err(Error::NoVersionAsOf { .. }) => Ok(0),
                Err(error) => Err(error),
            },
        }
    }

    async fn announce(
        &self,
        head: &Arc<Snapshot>,
        oldest_readable: u64,
        cutoff: DateTime<Utc>,
    ) -> Result<Arc<Snapshot>> {
        let objects_before_us = cutoff.timestamp_micros();
        let draft = DraftCommit {
            based_on: Arc::clone(head),
            operation: Operation::ExpireVersions,
            events_added: 0,
            actions: vec![Action::ExpireVersions { oldest_readable, objects_before_us }],
        };
        match self.commit(draft).await? {
            CommitOutcome::Committed(snapshot) => Ok(snapshot),
            CommitOutcome::Conflict { version, .. } => {
                Err(Error::Conflict { based_on: head.version, version })
            }
        }
    }
}

/// What was last written before this time, by the store's clock, is old.
async fn cutoff_of(bucket: &Bucket, grace: Duration) -> Result<DateTime<Utc>> {
    let grace = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
    let now = bucket.now().await?;
    Ok(now.checked_sub_signed(grace).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

/// The newest version up to `wanted` that has been there since before the cutoff: all below it
/// were superseded that long ago. Entries are written one after the other, so halving finds it.
async fn newest_long_superseded(
    bucket: &Bucket,
    oldest: u64,
    wanted: u64,
    cutoff: DateTime<Utc>,
) -> Result<u64> {
    let (mut old, mut young) = (oldest, wanted + 1);
    while young - old > 1 {
        let middle = old + (young - old) / 2;
        let path = layout::log_entry(middle);
        let found = bucket.head(&path).await?.ok_or(Error::Missing { path })?;
        if found.last_modified < cutoff {
            old = middle;
        } else {
            young = middle;
        }
    }
    Ok(old)
}

/// The paths that the versions from `oldest` to `head` name, out of the log alone.
async fn named_since(bucket: &Bucket, oldest: u64, head: u64) -> Result<HashSet<String>> {
    let mut snapshot = Snapshot::default();
    let mut named = HashSet::new();
    let mut entries = std::pin::pin!(replay::entries(bucket, 1, head));
    while let Some(entry) = entries.try_next().await? {
        if entry.version > oldest {
            named.extend(objects_of(&entry));
            continue;
        }
        check::advance(&mut snapshot, &entry)
            .map_err(|rule| Error::corrupt(layout::log_entry(entry.version), rule))?;
    }
    named.extend(snapshot.objects().map(|object| object.path.clone()));
    Ok(named)
}

/// The paths that the entries of these versions bring in.
async fn named_between(bucket: &Bucket, first: u64, last: u64) -> Result<HashSet<String>> {
    let mut named = HashSet::new();
    let mut entries = std::pin::pin!(replay::entries(bucket, first, last));
    while let Some(entry) = entries.try_next().await? {
        named.extend(objects_of(&entry));
    }
    Ok(named)
}

fn objects_of(entry: &LogEntry) -> impl Iterator<Item = String> + '_ {
    entry.actions.iter().flat_map(Action::objects).map(|object| object.path.clone())
}

/// What nobody names and is old, and how much is too young.
async fn unnamed_objects(
    bucket: &Bucket,
    named: &HashSet<String>,
    oldest: u64,
    cutoff: DateTime<Utc>,
) -> Result<(Vec<ListedObject>, u64)> {
    let (mut old, mut young) = (Vec::new(), 0);
    for folder in layout::COLLECTED {
        let mut listing = bucket.list(folder);
        while let Some(object) = listing.next().await.transpose()? {
            if named.contains(&object.path) {
                continue;
            }
            if object.last_modified < cutoff {
                old.push(object);
            } else {
                young += 1;
            }
        }
    }
    old.extend(spent_checkpoints(bucket, oldest, cutoff).await?);
    old.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    Ok((old, young))
}

/// Checkpoints below the newest one from which every readable version can be reached.
async fn spent_checkpoints(
    bucket: &Bucket,
    oldest: u64,
    cutoff: DateTime<Utc>,
) -> Result<Vec<ListedObject>> {
    let version_of = |object: &ListedObject| layout::version_of_checkpoint(&object.path);
    let mut below: Vec<ListedObject> = bucket
        .list(layout::CHECKPOINTS)
        .try_filter(|object| {
            let is_below = version_of(object).is_some_and(|version| version <= oldest);
            futures::future::ready(is_below)
        })
        .try_collect()
        .await?;
    below.sort_unstable_by_key(version_of);
    below.pop();
    below.retain(|object| object.last_modified < cutoff);
    Ok(below)
}

async fn delete_all(bucket: &Bucket, garbage: &[ListedObject]) -> Result<()> {
    let paths: Vec<String> = garbage.iter().map(|object| object.path.clone()).collect();
    stream::iter(paths)
        .map(|path| async move { bucket.delete(&path).await })
        .buffer_unordered(DELETES_AT_ONCE)
        .try_collect()
        .await
}

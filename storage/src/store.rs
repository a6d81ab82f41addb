//! One database: its newest version, its older versions, and the way to make the next.

use crate::bucket::Bucket;
use crate::cache::ObjectCache;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::frame::FrameKind;
use crate::identity::IdentityCache;
use crate::layout;
use crate::log::action::{Action, LogEntry, Operation};
use crate::log::checkpoint::{self, COMMITS_PER_CHECKPOINT};
use crate::log::commit::{self, Climb, CommitOutcome, DraftCommit};
use crate::log::{entry, replay};
use crate::snapshot::{CommitSummary, Snapshot};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::future::{self, BoxFuture};
use futures::{FutureExt, TryStreamExt};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory for decoded objects that are used again and again.
const CACHE_BYTES_MAX: usize = 256 << 20;
/// So many file indexes are read at once.
pub const INDEXES_AT_ONCE: usize = 8;
/// So often a change of the catalog is tried again when others commit in between.
const CATALOG_TRIES: u32 = 1_000;

/// A database in a [`Bucket`]. Cheap to clone; clones share what they have read.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use habitue_storage::{bucket::Bucket, catalog::Catalog, store::Store};
/// let bucket = Bucket::open("memory://").await?;
/// let store = Store::create(bucket, Catalog::default()).await?;
/// assert_eq!(store.snapshot().await?.version, 1);
/// # Ok::<(), habitue_storage::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    head: Mutex<Arc<Snapshot>>,
    /// What is known of `system.commits`, from version 1 on.
    commits: Mutex<Vec<CommitSummary>>,
    cache: ObjectCache,
    identities: IdentityCache,
}

impl Store {
    /// Makes a new database.
    ///
    /// # Errors
    /// [`Error::AlreadyADatabase`], or [`Error::UnsafeStore`] when the store cannot hold one.
    pub async fn create(bucket: Bucket, catalog: Catalog) -> Result<Self> {
        let already = Error::AlreadyADatabase { url: bucket.url().to_owned() };
        if entry::read(&bucket, 1).await?.is_some() {
            return Err(already);
        }
        bucket.ensure_safe_to_write().await?;
        let object = write_catalog(&bucket, &catalog).await?;
        let store = Self::at(bucket, Arc::default());
        let draft = DraftCommit {
            based_on: Arc::default(),
            operation: Operation::Create,
            events_added: 0,
            actions: vec![Action::SetCatalog(object)],
        };
        match store.commit(draft).await? {
            CommitOutcome::Committed(_) => Ok(store),
            CommitOutcome::Conflict { .. } => Err(already),
        }
    }

    /// Opens a database. Nothing is written.
    ///
    /// # Errors
    /// [`Error::NotADatabase`], or what reading the log says.
    pub async fn open(bucket: Bucket) -> Result<Self> {
        let base = checkpoint::newest(&bucket, u64::MAX).await.unwrap_or_default();
        let head = replay::to_head(&bucket, &Arc::new(base)).await?;
        if head.version == 0 {
            return Err(Error::NotADatabase { url: bucket.url().to_owned() });
        }
        Ok(Self::at(bucket, head))
    }

    /// A database whose newest version is known already.
    pub(crate) fn at(bucket: Bucket, head: Arc<Snapshot>) -> Self {
        let cache = ObjectCache::new(CACHE_BYTES_MAX);
        let commits = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                bucket,
                head: Mutex::new(head),
                commits,
                cache,
                identities: IdentityCache::default(),
            }),
        }
    }

    /// Where it lies.
    pub fn bucket(&self) -> &Bucket {
        &self.inner.bucket
    }

    /// The newest version, also when another process made it a moment ago.
    ///
    /// # Errors
    /// What reading the log says.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let head = replay::to_head(self.bucket(), &self.known_head()).await?;
        Ok(self.advance_head(head))
    }

    /// An older version.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`] when it does not exist, or has expired.
    pub async fn snapshot_at(&self, version: u64) -> Result<Arc<Snapshot>> {
        let mut head = self.known_head();
        if version > head.version {
            head = self.snapshot().await?;
        }
        if version == head.version {
            return Ok(head);
        }
        let oldest = head.oldest_readable.max(1);
        if !(oldest..=head.version).contains(&version) {
            return Err(Error::NoSuchVersion { version, oldest, newest: head.version });
        }
        let load = async {
            let base = checkpoint::newest(self.bucket(), version).await.unwrap_or_default();
            let snapshot = replay::to_version(self.bucket(), Arc::new(base), version).await?;
            let bytes = snapshot.memory_bytes();
            Ok((snapshot, bytes))
        };
        let snapshot = self.cached(&format!("version {version}"), load).await?;
        Ok(Arc::clone(&snapshot))
    }

    /// The version that was the newest at this time.
    ///
    /// # Errors
    /// [`Error::NoVersionAsOf`] when no version that can be read is that old.
    pub async fn snapshot_as_of(&self, at: DateTime<Utc>) -> Result<Arc<Snapshot>> {
        let head = self.snapshot().await?;
        let at_us = at.timestamp_micros();
        if head.committed_at_us <= at_us {
            return Ok(head);
        }
        // Times go strictly up with versions, so halving finds the last one not after `at`.
        let oldest = head.oldest_readable.max(1);
        let (mut not_after, mut after) = (oldest - 1, head.version);
        while after - not_after > 1 {
            let middle = not_after + (after - not_after) / 2;
            let entry = replay::existing(self.bucket(), middle).await?;
            if entry.committed_at_us <= at_us {
                not_after = middle;
            } else {
                after = middle;
            }
        }
        if not_after >= oldest {
            return self.snapshot_at(not_after).await;
        }
        let first = replay::existing(self.bucket(), oldest).await?;
        Err(Error::NoVersionAsOf {
            asked: at.to_rfc3339_opts(SecondsFormat::Micros, true),
            oldest: DateTime::from_timestamp_micros(first.committed_at_us)
                .unwrap_or_default()
                .to_rfc3339_opts(SecondsFormat::Micros, true),
        })
    }

    /// All commits, also those whose versions have expired, oldest first.
    ///
    /// # Errors
    /// What reading the log says.
    pub async fn commits(&self) -> Result<Vec<CommitSummary>> {
        let head = self.snapshot().await?;
        let mut summaries = self.known_commits().clone();
        let first = summaries.len() as u64 + 1;
        let mut entries = std::pin::pin!(replay::entries(self.bucket(), first, head.version));
        while let Some(entry) = entries.try_next().await? {
            summaries.push(summary_of(&entry));
        }
        let mut known = self.known_commits();
        if known.len() < summaries.len() {
            known.clone_from(&summaries);
        }
        Ok(summaries)
    }

    /// Makes the draft the next version, durable when this returns. Goes above commits of others
    /// that do not stand against it.
    ///
    /// # Errors
    /// [`Error::UnknownOutcome`] when nobody can tell whether it happened; [`Error::Stalled`] when
    /// garbage collection may have deleted its objects; [`Error::UnsafeStore`].
    pub async fn commit(&self, draft: DraftCommit) -> Result<CommitOutcome> {
        self.bucket().ensure_safe_to_write().await?;
        let known_head = self.known_head().version;
        match commit::climb(self.bucket(), &draft, known_head).await? {
            Climb::Made(snapshot, entry) => {
                self.advance_head(Arc::clone(&snapshot));
                if snapshot.version.is_multiple_of(COMMITS_PER_CHECKPOINT) {
                    // The commit stands; a checkpoint that fails costs the next reader time only.
                    let _ = checkpoint::write(self.bucket(), &snapshot, &entry.attempt).await;
                }
                Ok(CommitOutcome::Committed(snapshot))
            }
            Climb::Blocked(at) => {
                let version = at.version;
                self.advance_head(at);
                Ok(CommitOutcome::Conflict { version, snapshot: self.snapshot().await? })
            }
        }
    }

    /// The catalog of a version.
    ///
    /// # Errors
    /// What reading it says; [`Error::Corrupt`] when the log names none.
    pub async fn catalog(&self, snapshot: &Snapshot) -> Result<Arc<Catalog>> {
        let object = snapshot.catalog.as_ref().ok_or_else(|| {
            Error::corrupt(layout::log_entry(snapshot.version), "no catalog is named")
        })?;
        self.cached(&object.path, async {
            let json = self.bucket().read_framed(FrameKind::Catalog, object).await?;
            let catalog: Catalog = serde_json::from_slice(&json)
                .map_err(|error| Error::corrupt(&object.path, format!("no catalog: {error}")))?;
            Ok((catalog, json.len() * 2))
        })
        .await
    }

    /// Changes the catalog. `edit` sees the newest one, and sees it again when another writer was
    /// faster. When it changes nothing, nothing is committed.
    ///
    /// # Errors
    /// What `edit` says; [`Error::Invalid`] when it removes or reorders namespaces.
    pub async fn update_catalog(
        &self,
        edit: impl Fn(&mut Catalog) -> Result<()> + Send + Sync,
    ) -> Result<Arc<Snapshot>> {
        self.update_catalog_and(edit, |_, _| future::ready(Ok(Vec::new())).boxed()).await
    }

    /// Changes the catalog, and whatever must become true in the same commit: `further` is asked
    /// for it with the snapshot and the changed catalog of each attempt.
    pub(crate) async fn update_catalog_and<'a>(
        &self,
        edit: impl Fn(&mut Catalog) -> Result<()> + Send + Sync,
        further: impl Fn(Arc<Snapshot>, &Catalog) -> BoxFuture<'a, Result<Vec<Action>>> + Send + Sync,
    ) -> Result<Arc<Snapshot>> {
        let mut snapshot = self.snapshot().await?;
        for _ in 0..CATALOG_TRIES {
            let before = self.catalog(&snapshot).await?;
            let mut after = Catalog::clone(&before);
            edit(&mut after)?;
            if after == *before {
                return Ok(snapshot);
            }
            ensure_namespaces_stay(&before, &after)?;
            ensure_rules_stay(&before, &after)?;
            let mut actions = further(Arc::clone(&snapshot), &after).await?;
            actions.push(Action::SetCatalog(write_catalog(self.bucket(), &after).await?));
            let draft = DraftCommit {
                based_on: Arc::clone(&snapshot),
                operation: Operation::ChangeCatalog,
                events_added: 0,
                actions,
            };
            match self.commit(draft).await? {
                CommitOutcome::Committed(committed) => return Ok(committed),
                CommitOutcome::Conflict { snapshot: newest, .. } => snapshot = newest,
            }
        }
        let version = snapshot.version;
        Err(Error::Conflict { based_on: version, version })
    }

    /// A decoded object by its name, loaded when it is not in memory; see
    /// [`ObjectCache::get_or_load`].
    pub(crate) async fn cached<T: Any + Send + Sync>(
        &self,
        name: &str,
        load: impl Future<Output = Result<(T, usize)>>,
    ) -> Result<Arc<T>> {
        self.inner.cache.get_or_load(name, load).await
    }

    /// What this process keeps of identities.
    pub(crate) fn identities(&self) -> &IdentityCache {
        &self.inner.identities
    }

    fn known_head(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.head.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers a snapshot if none is newer, and gives the newest.
    fn advance_head(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        let mut head = self.inner.head.lock().unwrap_or_else(PoisonError::into_inner);
        if snapshot.version > head.version {
            *head = snapshot;
        }
        Arc::clone(&head)
    }

    fn known_commits(&self) -> std::sync::MutexGuard<'_, Vec<CommitSummary>> {
        self.inner.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn write_catalog(
    bucket: &Bucket,
    catalog: &Catalog,
) -> Result<crate::log::action::ObjectRef> {
    let json = serde_json::to_vec_pretty(catalog)
        .map_err(|error| Error::Internal(format!("a catalog is no JSON: {error}")))?;
    let path = layout::catalog(bucket.new_uuid());
    bucket.put_framed(FrameKind::Catalog, &path, &json).await
}

/// A namespace's number is its place, and numbers stand in dictionary and rules for ever.
pub(crate) fn ensure_namespaces_stay(before: &Catalog, after: &Catalog) -> Result<()> {
    let stays = before.namespaces.len() <= after.namespaces.len()
        && before.namespaces.iter().zip(&after.namespaces).all(|(old, new)| old.name == new.name);
    if stays {
        Ok(())
    } else {
        Err(Error::invalid("catalog", "a namespace was removed, renamed or moved"))
    }
}

/// Other rules make other customers; only who computes these again may change them.
fn ensure_rules_stay(before: &Catalog, after: &Catalog) -> Result<()> {
    if after.namespaces.starts_with(&before.namespaces) {
        return Ok(());
    }
    let reason = "the rules of a namespace change, which takes `change_namespaces`";
    Err(Error::invalid("catalog", reason))
}

fn summary_of(entry: &LogEntry) -> CommitSummary {
    CommitSummary {
        version: entry.version,
        committed_at_us: entry.committed_at_us,
        operation: entry.operation,
        events_added: entry.events_added,
        actions: entry.actions.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garbage::GarbageOptions;

    /// Futures of a store can run on any thread; this need not run, only compile.
    #[test]
    fn work_can_be_spawned() {
        fn spawned(_: impl Future + Send) {}
        fn all(store: &Store, draft: DraftCommit, snapshot: &Snapshot) {
            spawned(Store::open(store.bucket().clone()));
            spawned(Store::create(store.bucket().clone(), Catalog::default()));
            spawned(store.snapshot());
            spawned(store.snapshot_at(1));
            spawned(store.snapshot_as_of(Utc::now()));
            spawned(store.commits());
            spawned(store.commit(draft));
            spawned(store.catalog(snapshot));
            spawned(store.update_catalog(|_| Ok(())));
            spawned(store.publish_segments(Vec::new()));
            spawned(store.collect_garbage(GarbageOptions::default()));
            spawned(store.verify());
        }
        let _ = all;
    }
}

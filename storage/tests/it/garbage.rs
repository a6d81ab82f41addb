//! Garbage collection. Breaks for a user if this fails: files of a version that somebody reads, or
//! is about to commit, are gone.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::FaultStore;
use crate::workload::{self, batches};
use chrono::TimeDelta;
use habitue_storage::Error;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::garbage::{GarbageMode, GarbageOptions, KeepVersions};
use habitue_storage::layout;
use habitue_storage::log::action::Operation;
use habitue_storage::log::commit::CommitOutcome;
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// A bucket whose clock is not the clock of the machine that works on it.
struct Place {
    objects: FaultStore,
    store_clock: TestClock,
    machine_clock: TestClock,
}

impl Place {
    fn new() -> Self {
        let store_clock = TestClock::new();
        let objects = FaultStore::new(&store_clock);
        Self { objects, store_clock, machine_clock: TestClock::new() }
    }

    fn bucket(&self, seed: u64) -> Bucket {
        let environment = TestEnvironment::new(seed, &self.machine_clock);
        Bucket::with_environment(Arc::new(self.objects.clone()), "memory://", environment)
    }

    /// Three ingested batches in one compacted file and one that is not, and old versions.
    async fn with_history(&self) -> Store {
        let store = Store::create(self.bucket(0), Catalog::default()).await.unwrap();
        for batch in 1..=3 {
            workload::ingest(&store, batch).await.unwrap();
        }
        assert!(workload::compact(&store).await.unwrap());
        store
    }

    fn pass(&self, time: TimeDelta) {
        self.store_clock.advance(time);
        self.machine_clock.advance(time);
    }
}

fn keep(keep: KeepVersions) -> GarbageOptions {
    GarbageOptions { keep, ..GarbageOptions::default() }
}

async fn all_is_there(store: &Store, snapshot: &Snapshot) -> bool {
    for object in snapshot.objects() {
        if store.bucket().head(&object.path).await.unwrap().is_none() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn what_a_readable_version_names_stays() {
    let place = Place::new();
    let store = place.with_history().await;
    place.pass(TimeDelta::days(30));
    store.collect_garbage(keep(KeepVersions::Last(2))).await.unwrap();
    for version in [4, 5] {
        let snapshot = store.snapshot_at(version).await.unwrap();
        assert_eq!(batches(&snapshot), [1, 2, 3]);
        assert!(all_is_there(&store, &snapshot).await);
    }
    let report = store.verify().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
}

#[tokio::test]
async fn expired_versions_cannot_be_read_and_what_only_they_named_is_gone() {
    let place = Place::new();
    let store = place.with_history().await;
    let before = store.snapshot().await.unwrap();
    let old_files = store.snapshot_at(4).await.unwrap().data_files.clone();
    place.pass(TimeDelta::days(30));
    let report = store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap();
    assert_eq!((report.oldest_readable, report.versions_expired), (5, 4));
    for (path, file) in &old_files {
        let is_there = store.bucket().head(path).await.unwrap().is_some();
        assert_eq!(is_there, before.data_files.contains_key(path), "{path}");
        let is_there = store.bucket().head(&file.index.path).await.unwrap().is_some();
        assert_eq!(is_there, before.data_files.contains_key(path), "{path}");
    }
    let error = store.snapshot_at(4).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchVersion { oldest: 5, .. }), "{error}");
    assert_eq!(store.commits().await.unwrap().len(), 6, "the log itself stays");
    let reopened = Store::open(place.bucket(1)).await.unwrap();
    assert!(reopened.snapshot_at(4).await.is_err(), "expiry is in the log");
    assert!(store.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn an_expired_version_was_announced_before_anything_was_deleted() {
    let place = Place::new();
    let store = place.with_history().await;
    place.pass(TimeDelta::days(30));
    store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap();
    let trace = place.objects.trace();
    let place_of = |what: &str| trace.iter().position(|call| call.contains(what));
    let announced = place_of("put log/00000000000000000006").unwrap();
    let deleted = place_of("delete events/").unwrap();
    assert!(announced < deleted, "{trace:#?}");
}

#[tokio::test]
async fn a_dry_run_deletes_and_writes_nothing() {
    let place = Place::new();
    let store = place.with_history().await;
    place.pass(TimeDelta::days(30));
    let objects_before = place.objects.paths().await;
    let mut options = keep(KeepVersions::Last(1));
    options.mode = GarbageMode::DryRun;
    let dry = store.collect_garbage(options).await.unwrap();
    assert_eq!(place.objects.paths().await, objects_before);
    options.mode = GarbageMode::Delete;
    assert_eq!(store.collect_garbage(options).await.unwrap(), dry);
    assert!(!dry.deleted.is_empty());
}

#[tokio::test]
async fn age_is_measured_by_the_clock_of_the_store() {
    let place = Place::new();
    let store = place.with_history().await;
    workload::write_data_file(store.bucket(), &[9], 0).await.unwrap();
    // A machine a month ahead must not take for old what was written a moment ago.
    place.machine_clock.advance(TimeDelta::days(30));
    let report = store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap();
    assert_eq!((report.deleted, report.spared_young), (Vec::new(), 2));
    assert_eq!(report.versions_expired, 0, "they were the newest an hour ago");
    // And one a month behind must still collect what is old.
    place.machine_clock.advance(TimeDelta::days(-60));
    place.store_clock.advance(TimeDelta::days(2));
    let report = store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap();
    assert!(report.deleted.len() > 2, "{report:?}");
}

#[tokio::test]
async fn objects_of_others_are_left_alone() {
    let place = Place::new();
    let store = place.with_history().await;
    store.bucket().put_new("holidays/beach.jpg", "jpg".into()).await.unwrap();
    place.pass(TimeDelta::days(30));
    store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap();
    assert!(place.objects.paths().await.contains(&"holidays/beach.jpg".to_owned()));
}

#[tokio::test]
async fn a_writer_that_slept_through_garbage_collection_commits_nothing() {
    let place = Place::new();
    let store = place.with_history().await;
    let sleeper = Store::open(place.bucket(1)).await.unwrap();
    let based_on = sleeper.snapshot().await.unwrap();
    let draft = workload::ingest_draft(&sleeper, &based_on, 9).await.unwrap();
    place.pass(TimeDelta::days(2));
    let report = store.collect_garbage(keep(KeepVersions::All)).await.unwrap();
    assert!(!report.deleted.is_empty(), "its objects looked like garbage");
    let error = sleeper.commit(draft).await.unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
    assert_eq!(batches(&store.snapshot().await.unwrap()), [1, 2, 3]);
    workload::ingest(&sleeper, 9).await.unwrap();
    assert!(store.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_writer_with_young_objects_passes_over_garbage_collection() {
    let place = Place::new();
    let store = place.with_history().await;
    place.pass(TimeDelta::days(30));
    let based_on = store.snapshot().await.unwrap();
    let draft = workload::ingest_draft(&store, &based_on, 9).await.unwrap();
    store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap();
    let outcome = store.commit(draft).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
    assert!(store.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn garbage_collection_trusts_no_checkpoint() {
    let place = Place::new();
    let store = place.with_history().await;
    while store.snapshot().await.unwrap().version < 64 {
        let snapshot = store.snapshot().await.unwrap();
        let nothing = workload::draft(&snapshot, Operation::Compact, Vec::new());
        store.commit(nothing).await.unwrap();
    }
    place.objects.lose(&layout::checkpoint(64)).await;
    place.objects.damage(&layout::log_entry(3), |bytes| bytes.truncate(20)).await;
    place.pass(TimeDelta::days(30));
    let error = store.collect_garbage(keep(KeepVersions::Last(1))).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_time_keeps_the_version_that_was_the_newest_then() {
    let place = Place::new();
    let store = place.with_history().await;
    place.pass(TimeDelta::days(30));
    workload::ingest(&store, 4).await.unwrap();
    place.pass(TimeDelta::days(30));
    let at = place.machine_clock.now() - TimeDelta::days(45);
    let was_newest = store.snapshot_as_of(at).await.unwrap().version;
    let report = store.collect_garbage(keep(KeepVersions::Since(at))).await.unwrap();
    assert_eq!(report.oldest_readable, was_newest);
    assert_eq!(store.snapshot_as_of(at).await.unwrap().version, was_newest);
}

#[tokio::test]
async fn without_garbage_nothing_is_committed() {
    let place = Place::new();
    let store = place.with_history().await;
    let options = GarbageOptions { grace: Duration::ZERO, ..keep(KeepVersions::Last(1)) };
    store.collect_garbage(options).await.unwrap();
    let version = store.snapshot().await.unwrap().version;
    let options = GarbageOptions { keep: KeepVersions::All, ..options };
    store.collect_garbage(options).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().version, version);
}

//! Opening a database costs what happened lately, not what ever happened.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::FaultStore;
use crate::workload;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::layout;
use habitue_storage::log::action::Operation;
use habitue_storage::store::Store;
use std::sync::Arc;

const COMMITS: u64 = 10_000;
/// A checkpoint, the entry that vouches for it, at most 63 entries after it with what is asked for
/// in vain behind the last one, and one listing.
const CALLS_MAX: u64 = 2 + 2 * 64 + 1;

struct Place {
    clock: TestClock,
    objects: FaultStore,
}

impl Place {
    async fn with_commits(commits: u64) -> Self {
        Self::made_by(0, commits).await
    }

    /// Two places that were made by different seeds have different commits.
    async fn made_by(seed: u64, commits: u64) -> Self {
        let clock = TestClock::new();
        let place = Self { objects: FaultStore::new(&clock), clock };
        let store = Store::create(place.bucket(seed), Catalog::default()).await.unwrap();
        let mut snapshot = workload::ingest(&store, 1).await.unwrap();
        while snapshot.version < commits {
            let nothing = workload::draft(&snapshot, Operation::Compact, Vec::new());
            store.commit(nothing).await.unwrap();
            snapshot = store.snapshot().await.unwrap();
        }
        place
    }

    fn bucket(&self, seed: u64) -> Bucket {
        let environment = TestEnvironment::new(seed, &self.clock);
        Bucket::with_environment(Arc::new(self.objects.clone()), "memory://", environment)
    }

    /// Opens the database and says how many calls of the store that took.
    async fn open(&self) -> (Store, u64) {
        let before = self.objects.calls();
        let store = Store::open(self.bucket(9)).await.unwrap();
        (store, self.objects.calls() - before)
    }
}

#[tokio::test]
async fn ten_thousand_commits_open_with_few_reads() {
    let place = Place::with_commits(COMMITS).await;
    let (store, calls) = place.open().await;
    assert_eq!(store.snapshot().await.unwrap().version, COMMITS);
    assert!(calls <= CALLS_MAX, "{calls} calls");
    let before = place.objects.calls();
    store.snapshot().await.unwrap();
    assert_eq!(place.objects.calls() - before, 1, "nothing new costs one question");
    let before = place.objects.calls();
    store.snapshot_at(5_000).await.unwrap();
    assert!(place.objects.calls() - before <= CALLS_MAX);
}

#[tokio::test]
async fn checkpoints_that_are_lost_or_damaged_cost_only_time() {
    let place = Place::with_commits(300).await;
    let healthy = place.open().await.0.snapshot().await.unwrap();
    place.objects.damage(&layout::checkpoint(256), |bytes| bytes[10] ^= 1).await;
    assert_eq!(place.open().await.0.snapshot().await.unwrap(), healthy, "damaged");
    place.objects.lose(&layout::checkpoint(256)).await;
    assert_eq!(place.open().await.0.snapshot().await.unwrap(), healthy, "lost");
    for version in [64, 128, 192] {
        place.objects.lose(&layout::checkpoint(version)).await;
    }
    let (store, calls) = place.open().await;
    assert_eq!(store.snapshot().await.unwrap(), healthy, "all lost");
    assert!(calls >= 300);
    assert!(store.verify().await.unwrap().is_clean(), "a lost checkpoint is no problem");
}

#[tokio::test]
async fn a_checkpoint_of_another_history_is_not_believed() {
    let place = Place::with_commits(70).await;
    let other = Place::made_by(1, 64).await;
    let healthy = place.open().await.0.snapshot().await.unwrap();
    let path = layout::checkpoint(64);
    let foreign = object_of(&other, &path).await;
    place.objects.damage(&path, |bytes| bytes.clone_from(&foreign)).await;
    assert_eq!(place.open().await.0.snapshot().await.unwrap(), healthy);
    let report = place.open().await.0.verify().await.unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].path, path);
}

async fn object_of(place: &Place, path: &str) -> Vec<u8> {
    let mut copy = Vec::new();
    place.objects.damage(path, |bytes| copy.clone_from(bytes)).await;
    copy
}

#[tokio::test]
async fn a_gap_in_the_log_is_found_by_verify() {
    let place = Place::with_commits(20).await;
    let store = place.open().await.0;
    place.objects.lose(&layout::log_entry(7)).await;
    let report = store.verify().await.unwrap();
    let paths: Vec<_> = report.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert!(paths.contains(&layout::log_entry(7).as_str()), "{report:?}");
}

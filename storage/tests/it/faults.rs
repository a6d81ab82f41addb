//! Every single call of a session breaks once, in every way. Breaks for a user if this fails:
//! acknowledged events are lost, or a retried ingest counts them twice.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::{FAULTS, Fault, FaultStore};
use crate::workload::{self, batches};
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::garbage::{GarbageMode, GarbageOptions, KeepVersions};
use habitue_storage::log::action::Operation;
use habitue_storage::segment::NewSegmentVersion;
use habitue_storage::store::Store;
use habitue_storage::verify::verify;
use habitue_storage::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// The batches that lie in the database before the session.
const BATCHES_BEFORE: u64 = 2;
/// The batches that a session sends.
const BATCHES: [u64; 3] = [1_001, 1_002, 1_003];

/// What a client does while one call breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// Everything that writes, on a young database.
    Everything,
    /// Ingests up to and over a checkpoint, and opening with it.
    PastCheckpoint,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_single_fault_loses_or_doubles_an_acknowledged_batch() {
    break_every_call(Session::Everything, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_single_fault_around_a_checkpoint_loses_or_doubles_a_batch() {
    break_every_call(Session::PastCheckpoint, 62).await;
}

async fn break_every_call(session: Session, commits_before: u64) {
    let clock = TestClock::new();
    let base = database_with_history(&clock, commits_before).await;
    let runs = FAULTS.map(|fault| {
        let (base, clock) = (base.clone(), clock.clone());
        tokio::spawn(async move {
            let mut call = 1;
            while session_breaks(session, &base, &clock, fault, call).await {
                call += 1;
            }
            call
        })
    });
    for run in runs {
        let calls = run.await.unwrap();
        assert!(calls > 30, "a session of {calls} calls tests little");
    }
}

async fn database_with_history(clock: &TestClock, commits: u64) -> FaultStore {
    let base = FaultStore::new(clock);
    let bucket = bucket_in(&base, clock, 0);
    let store = Store::create(bucket, Catalog::default()).await.unwrap();
    for batch in 1..=BATCHES_BEFORE {
        workload::ingest(&store, batch).await.unwrap();
    }
    while store.snapshot().await.unwrap().version < commits {
        let snapshot = store.snapshot().await.unwrap();
        let nothing = workload::draft(&snapshot, Operation::Compact, Vec::new());
        store.commit(nothing).await.unwrap();
    }
    base
}

fn bucket_in(store: &FaultStore, clock: &TestClock, seed: u64) -> Bucket {
    let environment = TestEnvironment::new(seed, clock);
    Bucket::with_environment(Arc::new(store.clone()), "memory://test", environment)
}

/// Runs one session in which one call breaks, and judges what is left. `false` when the session
/// has fewer calls.
async fn session_breaks(
    session: Session,
    base: &FaultStore,
    clock: &TestClock,
    fault: Fault,
    call: u64,
) -> bool {
    let faulty = base.fork(clock);
    faulty.break_at(call, fault);
    let mut acknowledged: Vec<u64> = (1..=BATCHES_BEFORE).collect();
    let bucket = bucket_in(&faulty, clock, 1);
    let outcome = match session {
        Session::Everything => everything(&bucket, &mut acknowledged).await,
        Session::PastCheckpoint => past_checkpoint(&bucket, &mut acknowledged).await,
    };
    if !faulty.has_broken() {
        outcome.unwrap();
        return false;
    }
    let case = format!("{fault:?} at {}", faulty.trace()[call as usize - 1]);
    if let Err(error) = &outcome {
        assert_is_typed(error, &case);
    }
    let store = Store::open(bucket_in(&faulty.healthy().await, clock, 2)).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let found = batches(&snapshot);
    let mut distinct = found.clone();
    distinct.dedup();
    assert_eq!(found, distinct, "{case}: a batch is there twice");
    for batch in &acknowledged {
        assert!(found.contains(batch), "{case}: acknowledged batch {batch} is lost");
    }
    assert!(found.len() <= acknowledged.len() + 1, "{case}: batches nobody sent");
    let report = verify(store.bucket()).await.unwrap();
    assert!(report.is_clean(), "{case}: {:?}", report.problems);

    // A careful client sends again what was not acknowledged.
    for batch in BATCHES {
        workload::ingest(&store, batch).await.unwrap();
    }
    let found = batches(&store.snapshot().await.unwrap());
    let wanted: Vec<u64> = (1..=BATCHES_BEFORE).chain(BATCHES).collect();
    assert_eq!(found, wanted, "{case}: after sending again");
    true
}

async fn past_checkpoint(bucket: &Bucket, acknowledged: &mut Vec<u64>) -> Result<()> {
    for batch in BATCHES {
        let store = Store::open(bucket.clone()).await?;
        workload::ingest(&store, batch).await?;
        acknowledged.push(batch);
    }
    Ok(())
}

async fn everything(bucket: &Bucket, acknowledged: &mut Vec<u64>) -> Result<()> {
    let store = Store::open(bucket.clone()).await?;
    for batch in &BATCHES[..2] {
        workload::ingest(&store, *batch).await?;
        acknowledged.push(*batch);
    }
    workload::change_setting(&store, 1).await?;
    let segment = crate::segments::define(&store, "vip").await?;
    let computed_at = store.snapshot().await?.version;
    let members = [1, 2, 3].into_iter().collect();
    let (segment_id, defined_at_us) = (segment.id, segment.defined_at_us);
    let version =
        NewSegmentVersion { segment_id, defined_at_us, computed_at, members, computation: None };
    store.publish_segments(vec![version]).await?;
    workload::compact(&store).await?;
    let options = GarbageOptions {
        keep: KeepVersions::Last(5),
        grace: Duration::ZERO,
        mode: GarbageMode::Delete,
    };
    store.collect_garbage(options).await?;
    workload::ingest(&store, BATCHES[2]).await?;
    acknowledged.push(BATCHES[2]);
    let newest = store.snapshot().await?.version;
    store.snapshot_at(newest - 2).await?;
    store.commits().await?;
    Ok(())
}

/// The caller can tell what to do, and is not told that the call was wrong.
fn assert_is_typed(error: &Error, case: &str) {
    let kinds = [ErrorKind::Unavailable, ErrorKind::CorruptData, ErrorKind::Conflict];
    // The probe cannot tell a store that lies about one write from one that always does.
    let is_probe = matches!(error, Error::UnsafeStore { .. }) && case.contains("probe/");
    assert!(kinds.contains(&error.kind()) || is_probe, "{case}: {error:?}");
}

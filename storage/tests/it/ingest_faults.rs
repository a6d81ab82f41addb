//! Every single call of an ingest and a compaction breaks once, in every way. Breaks for a user if
//! this fails: a disturbed ingest loses events, or sending it again counts them twice.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::events::*;
use crate::fault_store::{FAULTS, Fault, FaultStore};
use habitue_storage::Result;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::compaction::{CompactionDepth, CompactionOptions};
use habitue_storage::store::Store;
use habitue_storage::verify::verify;
use std::sync::Arc;

/// Events of one month, so that a session has few files and many sessions can be tried.
fn of_one_month() -> Vec<Row> {
    let mut rows = rows(17, 30);
    for row in &mut rows {
        row.ts = START_US + (row.ts - START_US) % (20 * DAY_US);
    }
    rows
}

fn bucket_in(store: &FaultStore, clock: &TestClock, seed: u64) -> Bucket {
    let environment = TestEnvironment::new(seed, clock);
    Bucket::with_environment(Arc::new(store.clone()), "memory://test", environment)
}

async fn session(bucket: &Bucket, all: &[Row], acknowledged: &mut Vec<Row>) -> Result<()> {
    let store = Store::open(bucket.clone()).await?;
    ingest(&store, &all[10..20], 10, options("a")).await?;
    acknowledged.extend_from_slice(&all[10..20]);
    let depth = CompactionDepth::Full;
    store.compact(CompactionOptions { depth, ..CompactionOptions::default() }, |_| {}).await?;
    // Half of it was there already.
    ingest(&store, &all[15..25], 10, options("a")).await?;
    acknowledged.extend_from_slice(&all[20..25]);
    Ok(())
}

async fn session_breaks(
    base: &FaultStore,
    clock: &TestClock,
    all: &[Row],
    fault: Fault,
    call: u64,
) -> bool {
    let faulty = base.fork(clock);
    faulty.break_at(call, fault);
    let mut acknowledged = all[..10].to_vec();
    let outcome = session(&bucket_in(&faulty, clock, 1), all, &mut acknowledged).await;
    if !faulty.has_broken() {
        outcome.unwrap();
        return false;
    }
    let trace = faulty.trace();
    let case = format!("{fault:?} at call {call}: {:?}", trace.get(call as usize - 1));
    let store = Store::open(bucket_in(&faulty.healthy().await, clock, 2)).await.unwrap();
    let found = plain(read_all(&store, &store.snapshot().await.unwrap()).await);
    for row in &acknowledged {
        assert!(found.contains(row), "{case}: an acknowledged event is lost");
    }
    assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "{case}: an event is there twice");
    // A careful client sends everything again.
    ingest(&store, all, 10, options("a")).await.unwrap();
    let found = plain(read_all(&store, &store.snapshot().await.unwrap()).await);
    assert_eq!(found, sorted(all), "{case}: after sending again");
    let report = verify(store.bucket()).await.unwrap();
    assert!(report.is_clean(), "{case}: {:?}", report.problems);
    true
}

#[tokio::test]
async fn no_single_fault_loses_or_doubles_an_event() {
    let clock = TestClock::new();
    let base = FaultStore::new(&clock);
    let all = of_one_month();
    let store = Store::create(bucket_in(&base, &clock, 0), Catalog::default()).await.unwrap();
    ingest(&store, &all[..10], 10, options("a")).await.unwrap();
    for fault in FAULTS {
        let mut call = 1;
        while session_breaks(&base, &clock, &all, fault, call).await {
            call += 1;
        }
        assert!(call > 20, "a session of {call} calls tests little");
    }
}

//! Several writers at once. Breaks for a user if this fails: one writer's commit overwrites
//! another's.

use crate::workload::{self, batches};
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;

const WRITERS: u64 = 6;
const BATCHES_EACH: u64 = 8;

/// Writers that share nothing but the place, as processes do.
async fn write_at_once(open: impl AsyncFn() -> Bucket) {
    let store = Store::create(open().await, Catalog::default()).await.unwrap();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let own = Store::open(open().await).await.unwrap();
        writers.push(tokio::spawn(async move {
            for batch in 0..BATCHES_EACH {
                workload::ingest(&own, writer * 100 + batch).await.unwrap();
                if batch % 4 == 3 {
                    workload::compact(&own).await.unwrap();
                    workload::change_setting(&own, writer).await.unwrap();
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let found = batches(&store.snapshot().await.unwrap());
    let wanted: Vec<u64> = (0..WRITERS)
        .flat_map(|writer| (0..BATCHES_EACH).map(move |batch| writer * 100 + batch))
        .collect();
    assert_eq!(found, wanted, "no batch is lost and none is there twice");
    let commits = store.commits().await.unwrap();
    let versions: BTreeSet<u64> = commits.iter().map(|commit| commit.version).collect();
    assert_eq!(versions.len(), commits.len());
    let events: u64 = commits.iter().map(|commit| commit.events_added).sum();
    assert_eq!(events, WRITERS * BATCHES_EACH, "each batch was committed once");
    let report = store.verify().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_in_one_directory_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let url = path.to_str().unwrap();
    write_at_once(async || Bucket::open(url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_in_memory_lose_nothing() {
    let objects = Arc::new(object_store::memory::InMemory::new());
    let open = async || Bucket::with_store(objects.clone(), "memory://");
    write_at_once(open).await;
}

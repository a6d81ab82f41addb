//! Segment versions. Breaks for a user if this fails: a campaign goes to the wrong people.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::FaultStore;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::{Catalog, SegmentDefinition, SegmentKind};
use habitue_storage::segment::NewSegmentVersion;
use habitue_storage::store::Store;
use habitue_storage::{ErrorKind, Result};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Defines a segment, or defines it anew.
pub async fn define(store: &Store, name: &str) -> Result<SegmentDefinition> {
    let defined_at_us = store.bucket().local_now().timestamp_micros();
    let snapshot = store
        .update_catalog(|catalog| {
            let old = catalog.segments.get(name).map(|definition| definition.id);
            let id = old.unwrap_or(catalog.next_segment_id);
            catalog.next_segment_id = catalog.next_segment_id.max(id + 1);
            let definition = SegmentDefinition {
                id,
                sql: "SELECT customer_id FROM customers".into(),
                comment: None,
                kind: SegmentKind::Dynamic,
                uses: Vec::new(),
                defined_at_us,
            };
            catalog.segments.insert(name.to_owned(), definition);
            Ok(())
        })
        .await?;
    Ok(store.catalog(&snapshot).await?.segments[name].clone())
}

async fn new_store() -> Store {
    let clock = TestClock::new();
    let store = Arc::new(FaultStore::new(&clock));
    let bucket = Bucket::with_environment(store, "memory://", TestEnvironment::new(0, &clock));
    Store::create(bucket, Catalog::default()).await.unwrap()
}

fn version_of(definition: &SegmentDefinition, members: &[u32]) -> NewSegmentVersion {
    NewSegmentVersion {
        segment_id: definition.id,
        defined_at_us: definition.defined_at_us,
        computed_at: 1,
        members: members.iter().copied().collect(),
        computation: None,
    }
}

#[tokio::test]
async fn a_version_says_who_entered_and_who_left() {
    let store = new_store().await;
    let vip = define(&store, "vip").await.unwrap();
    store.publish_segments(vec![version_of(&vip, &[1, 2, 3])]).await.unwrap();
    let second = store.publish_segments(vec![version_of(&vip, &[2, 3, 9, 10])]).await.unwrap();
    let second = &second[0];
    let bitmap = async |object| (*store.segment_bitmap(object).await.unwrap()).clone();
    assert_eq!(second.number, 2);
    assert_eq!(bitmap(&second.members).await, RoaringBitmap::from_iter([2, 3, 9, 10]));
    assert_eq!(bitmap(&second.entered).await, RoaringBitmap::from_iter([9, 10]));
    assert_eq!(bitmap(&second.left).await, RoaringBitmap::from_iter([1]));
    let counts = (second.customers, second.customers_entered, second.customers_left);
    assert_eq!(counts, (4, 2, 1));
    assert!(store.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn members_by_an_old_definition_are_not_published() {
    let store = new_store().await;
    let old = define(&store, "vip").await.unwrap();
    let new = define(&store, "vip").await.unwrap();
    assert_eq!(old.id, new.id);
    let error = store.publish_segments(vec![version_of(&old, &[1])]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    store.publish_segments(vec![version_of(&new, &[1])]).await.unwrap();
}

#[tokio::test]
async fn segments_that_are_refreshed_at_once_all_get_their_versions() {
    let store = new_store().await;
    let mut refreshes = Vec::new();
    for name in ["a", "b", "c"] {
        let definition = define(&store, name).await.unwrap();
        for member in 1..=5 {
            let (store, version) = (store.clone(), version_of(&definition, &[member]));
            refreshes.push(async move { store.publish_segments(vec![version]).await });
        }
    }
    for published in futures::future::join_all(refreshes).await {
        published.unwrap();
    }
    let snapshot = store.snapshot().await.unwrap();
    for versions in snapshot.segment_versions.values() {
        let numbers: Vec<u64> = versions.iter().map(|version| version.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }
    assert!(store.verify().await.unwrap().is_clean());
}

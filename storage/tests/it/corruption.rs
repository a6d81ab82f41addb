//! Every kind of object flipped and cut. Breaks for a user if this fails: a bad disk gives wrong
//! answers, or ends the program.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::FaultStore;
use crate::{events, workload};
use futures::TryStreamExt;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::data_file::read_columns;
use habitue_storage::event;
use habitue_storage::ingest::RejectedRow;
use habitue_storage::layout;
use habitue_storage::log::action::Operation;
use habitue_storage::segment::NewSegmentVersion;
use habitue_storage::store::Store;
use habitue_storage::verify::verify;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many places of each object are flipped and cut.
const PLACES: usize = 40;

struct Place {
    clock: TestClock,
    objects: FaultStore,
}

impl Place {
    /// A database with an object of every kind.
    async fn full() -> Self {
        let clock = TestClock::new();
        let place = Self { objects: FaultStore::new(&clock), clock };
        let store = Store::create(place.bucket(&place.objects), Catalog::default()).await.unwrap();
        for batch in 1..=4 {
            workload::ingest(&store, batch).await.unwrap();
        }
        let segment = crate::segments::define(&store, "vip").await.unwrap();
        let version = NewSegmentVersion {
            segment_id: segment.id,
            defined_at_us: segment.defined_at_us,
            computed_at: 1,
            members: (0..500).step_by(3).collect(),
        };
        store.publish_segments(vec![version]).await.unwrap();
        while store.snapshot().await.unwrap().version < 65 {
            let snapshot = store.snapshot().await.unwrap();
            let nothing = workload::draft(&snapshot, Operation::Compact, Vec::new());
            store.commit(nothing).await.unwrap();
        }
        place
    }

    fn bucket(&self, objects: &FaultStore) -> Bucket {
        let environment = TestEnvironment::new(0, &self.clock);
        Bucket::with_environment(Arc::new(objects.clone()), "memory://", environment)
    }

    /// One object of each kind: the first of each folder and ending that a version names.
    async fn one_of_each_kind(&self) -> Vec<String> {
        let mut kinds = BTreeMap::new();
        for path in self.objects.paths().await {
            if path.starts_with("probe") {
                continue;
            }
            let folder = path.split('/').next().unwrap().to_owned();
            let within = path.split('/').nth(1).unwrap();
            let within = if folder == "identity" { within.to_owned() } else { String::new() };
            let ending = path.rsplit('.').next().unwrap().to_owned();
            kinds.entry((folder, within, ending)).or_insert(path);
        }
        kinds.into_values().collect()
    }
}

#[tokio::test]
async fn damage_to_any_kind_of_object_is_found_and_named() {
    let place = Place::full().await;
    let kinds = place.one_of_each_kind().await;
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    for path in kinds {
        for damage in damages(&place, &path).await {
            let objects = place.objects.fork(&place.clock);
            objects.damage(&path, |bytes| *bytes = damage.clone()).await;
            let report = verify(&place.bucket(&objects)).await.unwrap();
            let is_named = report.problems.iter().any(|problem| problem.path == path);
            assert!(is_named, "{path}: {:?}", report.problems);
            // Opening either answers with an error or, for what it does not read, works.
            let _ = Store::open(place.bucket(&objects)).await;
        }
    }
}

/// The object with a bit flipped here and there, cut here and there, empty, and with more behind.
async fn damages(place: &Place, path: &str) -> Vec<Vec<u8>> {
    let mut healthy = Vec::new();
    place.objects.fork(&place.clock).damage(path, |bytes| healthy.clone_from(bytes)).await;
    let step = healthy.len() / PLACES + 1;
    let mut damages = vec![Vec::new(), [healthy.clone(), vec![0]].concat()];
    for at in (0..healthy.len()).step_by(step) {
        let mut flipped = healthy.clone();
        flipped[at] ^= 1 << (at % 8);
        damages.push(flipped);
        damages.push(healthy[..at].to_vec());
    }
    damages
}

#[tokio::test]
async fn an_object_that_is_lost_is_named() {
    let place = Place::full().await;
    for path in place.one_of_each_kind().await {
        if path.starts_with(layout::CHECKPOINTS) {
            continue;
        }
        let objects = place.objects.fork(&place.clock);
        objects.lose(&path).await;
        let report = verify(&place.bucket(&objects)).await.unwrap();
        let is_named = report.problems.iter().any(|problem| problem.path == path);
        assert!(is_named, "{path}: {:?}", report.problems);
    }
}

#[tokio::test]
async fn verify_finds_all_problems_and_the_orphans() {
    let place = Place::full().await;
    let store = Store::open(place.bucket(&place.objects)).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let files: Vec<&String> = snapshot.data_files.keys().collect();
    place.objects.damage(files[0], |bytes| bytes[9] ^= 4).await;
    place.objects.lose(files[1]).await;
    let orphan = workload::write_parquet(store.bucket(), "events/day-1970-01-01/x.parquet", 1);
    let orphan = orphan.await.unwrap();
    let report = store.verify().await.unwrap();
    let mut paths: Vec<&str> = report.problems.iter().map(|problem| &*problem.path).collect();
    paths.dedup();
    assert_eq!(paths, [files[0].as_str(), files[1].as_str()]);
    let orphans: Vec<&str> = report.orphans.iter().map(|object| &*object.path).collect();
    assert!(orphans.contains(&orphan.path.as_str()), "{orphans:?}");
}

/// A database that real events were brought into, compacted in part.
async fn of_real_events() -> Place {
    let clock = TestClock::new();
    let place = Place { objects: FaultStore::new(&clock), clock };
    let store = Store::create(place.bucket(&place.objects), Catalog::default()).await.unwrap();
    for seed in 0..2 {
        let mut rows = events::rows(seed, 60);
        rows.iter_mut().for_each(|row| row.event_id = None);
        let mut ingest = store.begin_ingest(events::options("test")).await.unwrap();
        ingest.append(&events::batch(&rows), 0).await.unwrap();
        let raw = "{".to_owned();
        let reason = "not JSON".to_owned();
        ingest.reject(RejectedRow { row: 100 + seed, reason, raw }).await.unwrap();
        ingest.commit().await.unwrap();
    }
    place
}

/// Whatever can be asked of the newest version; the first error if there is one.
async fn answers(bucket: Bucket) -> habitue_storage::Result<String> {
    let store = Store::open(bucket).await?;
    let snapshot = store.snapshot().await?;
    let mut answers = vec![
        format!("{:?}", store.catalog(&snapshot).await?),
        format!("{:?}", store.identity_map(&snapshot).await?.as_slice()),
        format!("{:?}", store.identifier_batches(&snapshot).await?),
        format!("{:?}", store.link_batches(&snapshot).await?),
        format!("{:?}", store.rejected_batches(&snapshot).await?),
    ];
    store.dictionary(&snapshot).await?;
    for file in snapshot.data_files.values() {
        answers.push(format!("{:?}", store.file_index(file).await?));
        let schema = event::file_schema(["user_id", "anonymous_id"]);
        let batches = read_columns(store.bucket(), file, schema, 1_000).await?;
        answers.push(format!("{:?}", batches.try_collect::<Vec<_>>().await?));
    }
    Ok(answers.concat())
}

#[tokio::test]
async fn real_events_verify_clean_and_damage_to_what_is_read_whole_changes_no_answer() {
    let place = of_real_events().await;
    let report = verify(&place.bucket(&place.objects)).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.orphans, []);
    let healthy = answers(place.bucket(&place.objects)).await.unwrap();
    let kinds = place.one_of_each_kind().await;
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    for path in kinds {
        for (number, damage) in damages(&place, &path).await.into_iter().enumerate() {
            let objects = place.objects.fork(&place.clock);
            objects.damage(&path, |bytes| *bytes = damage).await;
            let bucket = place.bucket(&objects);
            // Pages of data files are read without a checksum, for Parquet's writer makes none:
            // only reading the whole object finds every flip.
            let is_read_in_pages = path.starts_with("events/") && path.ends_with(".parquet");
            match answers(bucket.clone()).await {
                Ok(found) if !is_read_in_pages => {
                    assert!(found == healthy, "{path}: damage {number} gives a wrong answer");
                }
                Ok(_) | Err(_) => {}
            }
            let report = verify(&bucket).await.unwrap();
            let is_named = report.problems.iter().any(|problem| problem.path == path);
            assert!(is_named, "{path}: damage {number}: {:?}", report.problems);
        }
    }
}

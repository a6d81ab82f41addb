//! Every kind of object flipped and cut. Breaks for a user if this fails: a bad disk gives wrong
//! answers, or ends the program.

use crate::clockwork::{TestClock, TestEnvironment};
use crate::fault_store::FaultStore;
use crate::{events, workload};
use arrow::array::{Array, AsArray};
use bytes::Bytes;
use futures::TryStreamExt;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::data_file::{DataFileReader, Member, read_columns};
use habitue_storage::event;
use habitue_storage::ingest::RejectedRow;
use habitue_storage::layout;
use habitue_storage::log::action::{DataFile, Operation};
use habitue_storage::segment::NewSegmentVersion;
use habitue_storage::store::Store;
use habitue_storage::verify::verify;
use object_store::{GetOptions, GetRange, ObjectStore};
use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
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
            computation: None,
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
async fn real_events_verify_clean_and_damage_changes_no_answer() {
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
            if let Ok(found) = answers(bucket.clone()).await {
                assert!(found == healthy, "{path}: damage {number} gives a wrong answer");
            }
            let report = verify(&bucket).await.unwrap();
            let is_named = report.problems.iter().any(|problem| problem.path == path);
            assert!(is_named, "{path}: damage {number}: {:?}", report.problems);
        }
    }
}

// If this fails, a bad disk changes what people see, and only the next `verify` tells.
#[tokio::test]
async fn a_flip_anywhere_in_a_data_file_is_an_error_or_changes_nothing() {
    let place = of_real_events().await;
    let store = Store::open(place.bucket(&place.objects)).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let (path, file) = snapshot.data_files.first_key_value().unwrap();
    let healthy = read_by_ranges(&store, file).await.unwrap();
    // The writer still makes no checksums of pages; where it does, these blocks may go.
    let mut errors = 0;
    for at in (0..file.object.bytes as usize).step_by(7) {
        let objects = place.objects.fork(&place.clock);
        objects.damage(path, |bytes| bytes[at] ^= 1 << (at % 8)).await;
        let store = Store::open(place.bucket(&objects)).await.unwrap();
        match read_by_ranges(&store, file).await {
            Ok(found) => assert!(found == healthy, "byte {at} gives a wrong answer"),
            Err(error) => {
                assert!(error.contains("checksum"), "byte {at}: {error}");
                errors += 1;
            }
        }
    }
    assert_eq!(errors, (file.object.bytes as usize).div_ceil(7), "all of the file is read");
}

// If this fails, a bad disk lets events in twice.
#[tokio::test]
async fn damaged_filters_of_ids_are_an_error() {
    let place = of_real_events().await;
    let store = Store::open(place.bucket(&place.objects)).await.unwrap();
    for path in store.snapshot().await.unwrap().data_files.keys() {
        place.objects.damage(path, |bytes| clear_filters(bytes)).await;
    }
    let store = Store::open(place.bucket(&place.objects)).await.unwrap();
    let mut ingest = store.begin_ingest(events::options("test")).await.unwrap();
    let mut rows = events::rows(0, 60);
    rows.iter_mut().for_each(|row| row.event_id = None);
    let error = match ingest.append(&events::batch(&rows), 0).await {
        Ok(_) => ingest.commit().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("checksum"), "{error}");
}

/// No id is in the filters any more.
fn clear_filters(file: &mut [u8]) {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(file));
    for column in metadata.unwrap().row_groups().iter().flat_map(RowGroupMetaData::columns) {
        if let Some((start, bytes)) = column.bloom_filter_offset().zip(column.bloom_filter_length())
        {
            let end = (start + i64::from(bytes)) as usize;
            // Its header is left as it is.
            file[end - 32..end].fill(0);
        }
    }
}

/// All bytes of a data file as a query engine asks for them: by ranges, and with the footer first.
async fn read_by_ranges(store: &Store, file: &DataFile) -> Result<Vec<Bytes>, String> {
    let objects = store.checked_objects(&store.snapshot().await.unwrap());
    let path = file.object.path.as_str().into();
    let end = file.object.bytes;
    let tail = GetOptions { range: Some(GetRange::Suffix(8)), ..GetOptions::default() };
    let tail = objects.get_opts(&path, tail).await.map_err(|error| told(&error))?;
    let tail = tail.bytes().await.map_err(|error| told(&error))?;
    let ranges = [0..end / 3, end / 3..end / 2, end / 2..end, 4..5];
    let mut parts = objects.get_ranges(&path, &ranges).await.map_err(|error| told(&error))?;
    parts.push(tail);
    Ok(parts)
}

fn told(error: &object_store::Error) -> String {
    error.to_string()
}

/// Copies a database of an earlier format, as it lies in the repository.
async fn golden(version: &str, place: &std::path::Path) -> Store {
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let from = std::path::Path::new(&manifest).join("../testdata/golden").join(version);
    copy(&from, place);
    Store::open(Bucket::open(place.to_str().unwrap()).await.unwrap()).await.unwrap()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

// If this fails, people who come from an earlier release cannot open their database.
#[tokio::test]
async fn a_database_without_checksums_of_blocks_is_read_and_grows() {
    let folder = tempfile::tempdir().unwrap();
    let store = golden("v1", folder.path()).await;
    assert!(store.verify().await.unwrap().is_clean());
    let mut ingest = store.begin_ingest(events::options("test")).await.unwrap();
    ingest.append(&events::batch(&events::rows(1, 60)), 0).await.unwrap();
    let accepted = ingest.commit().await.unwrap().events_accepted;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.rows(), 3 + accepted);
    let mut rows = 0;
    for file in snapshot.data_files.values() {
        let schema = event::file_schema(["user_id", "anonymous_id"]);
        let batches = read_columns(store.bucket(), file, schema, 1_000).await.unwrap();
        let batches: Vec<_> = batches.try_collect().await.unwrap();
        rows += batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>() as u64;
        assert_eq!(read_by_ranges(&store, file).await.unwrap().len(), 5);
    }
    assert_eq!(rows, snapshot.rows());
    assert!(store.verify().await.unwrap().is_clean());
}

// If this fails, a later release does not find what is in `properties`.
#[tokio::test]
async fn a_compacted_file_with_members_in_columns_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = golden("v3", folder.path()).await;
    assert!(store.verify().await.unwrap().is_clean());
    let snapshot = store.snapshot().await.unwrap();
    let file = snapshot.data_files.values().next().unwrap();
    let reader = DataFileReader::open(store.bucket(), file).await.unwrap();
    let columns = reader.members().unwrap().iter().map(Member::column).collect::<Vec<_>>();
    let wanted =
        ["properties->>'land'", "properties->'n'", "properties->>'note'", "properties->'note'"];
    assert!(columns.iter().all(|column| wanted.contains(&column.as_str())), "{columns:?}");
    let schema = event::file_schema(["user_id", "anonymous_id"]);
    let batches = reader.columns(schema, 1_000).unwrap().try_collect::<Vec<_>>().await.unwrap();
    let texts = batches.iter().flat_map(|batch| {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (ids, texts) = (text("event_id"), text("properties"));
        let row = |row| {
            (ids.value(row).to_owned(), texts.is_valid(row).then(|| texts.value(row).to_owned()))
        };
        (0..batch.num_rows()).map(row).collect::<Vec<_>>()
    });
    let texts = texts.collect::<BTreeMap<_, _>>();
    assert_eq!(texts.len(), 14);
    assert_eq!(texts["e4"].as_deref(), Some(r#"{"land":"DE","n":6.0,"note":"a \"quoted\" word"}"#));
    assert_eq!(texts["e11"].as_deref(), Some(r#"{"land":"CH","n":11}"#));
    assert_eq!(texts["spaced"].as_deref(), Some(r#"{"land": "AT", "n": 1}"#));
    assert_eq!(texts["none"], None);
}

//! Compaction as a whole. Breaks for a user if this fails: answers change when files are merged.

use crate::events::*;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use habitue_storage::compaction::{CompactionDepth, CompactionOptions};
use habitue_storage::data_file::{DataFileReader, Member};
use habitue_storage::event;
use habitue_storage::ingest::IngestOptions;
use habitue_storage::store::Store;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

fn full(file_rows_target: u64) -> CompactionOptions {
    CompactionOptions {
        file_rows_target,
        depth: CompactionDepth::Full,
        ..CompactionOptions::default()
    }
}

/// Each partition is sorted by customer and time, no customer stands in two files, and the index
/// of each file says exactly which rows belong to whom.
async fn assert_settled(store: &Store, file_rows_target: u64) {
    let snapshot = store.snapshot().await.unwrap();
    let map = store.identity_map(&snapshot).await.unwrap();
    let mut seen = BTreeSet::new();
    for file in snapshot.data_files.values() {
        let index = store.file_index(file).await.unwrap();
        assert!(index.is_sorted_under(&map), "{}", file.object.path);
        let rows = read_file(store, file).await;
        assert_eq!(rows.len() as u64, file.rows);
        let customer = |row: &StoredRow| row.identifier.map(|number| map.customer_of(number));
        let key = |row: &StoredRow| (customer(row).map_or(u64::MAX, u64::from), row.row.ts);
        assert!(rows.iter().map(key).is_sorted(), "{}", file.object.path);
        for group in index.groups() {
            let of_group = &rows[group.rows.start as usize..group.rows.end as usize];
            let numbers: BTreeSet<u32> = of_group.iter().filter_map(|row| row.identifier).collect();
            assert!(numbers.iter().eq(group.identifiers), "{}", file.object.path);
        }
        let customers: BTreeSet<_> = rows.iter().map(customer).collect();
        for customer in &customers {
            let place = (file.partition_start_us, *customer);
            assert!(seen.insert(place), "customer {customer:?} stands in two files");
        }
        let last = rows.last().map(customer);
        let of_last = rows.iter().rev().take_while(|row| Some(customer(row)) == last).count();
        assert!(file.rows < file_rows_target + of_last as u64, "a file is too long");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn compaction_changes_no_row(
        seed in any::<u64>(),
        cuts in prop::collection::vec(1_usize..200, 1..6),
        target in 20_u64..400,
        is_tiered in any::<bool>(),
    ) {
        let runtime = runtime();
        runtime.block_on(async {
            let store = memory_store().await;
            let rows = rows(seed, 600);
            let mut rest = &rows[..];
            for cut in cuts {
                let (front, back) = rest.split_at(cut.min(rest.len()));
                ingest(&store, front, 50, options("a")).await.unwrap();
                rest = back;
                if is_tiered {
                    let tiered = CompactionOptions {
                        depth: CompactionDepth::Tiered,
                        ..full(target)
                    };
                    store.compact(tiered, |_| {}).await.unwrap();
                }
            }
            let before = read_all(&store, &store.snapshot().await.unwrap()).await;
            let summary = store.compact(full(target), |_| {}).await.unwrap();
            let after = read_all(&store, &store.snapshot().await.unwrap()).await;
            assert_eq!(before, after);
            assert_eq!(summary.jobs_lost, 0);
            assert_settled(&store, target).await;
            let again = store.compact(full(target), |_| {}).await.unwrap();
            assert_eq!(again.version, None, "a second compaction finds work: {again:?}");
        });
    }
}

#[tokio::test]
async fn ties_in_time_keep_their_ingest_order() {
    let store = memory_store().await;
    let same_time = |numbers: std::ops::Range<u32>| -> Vec<Row> {
        numbers
            .map(|number| Row {
                event_id: Some(format!("{number:03}")),
                ts: START_US,
                event: "view".into(),
                user_id: Some(format!("u{}", number % 2)),
                ..Row::default()
            })
            .collect()
    };
    for start in [0, 10, 20] {
        ingest(&store, &same_time(start..start + 10), 3, options("a")).await.unwrap();
    }
    store.compact(full(1_000), |_| {}).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let file = snapshot.data_files.values().next().unwrap();
    assert_eq!((file.ingested_from, file.ingested_to), (2, 4));
    let stored: Vec<String> =
        read_file(&store, file).await.into_iter().filter_map(|s| s.row.event_id).collect();
    let wanted: Vec<String> =
        (0..30).step_by(2).chain((1..30).step_by(2)).map(|number| format!("{number:03}")).collect();
    assert_eq!(stored, wanted);
}

#[tokio::test]
async fn a_merge_of_customers_is_sorted_out() {
    let store = memory_store().await;
    let event = |id: &str, ts: i64, user: Option<&str>, device: &str| Row {
        event_id: Some(id.into()),
        ts: START_US + ts,
        event: "view".into(),
        user_id: user.map(str::to_owned),
        anonymous_id: Some(device.into()),
        ..Row::default()
    };
    let apart = [event("1", 5, None, "d1"), event("2", 3, None, "d2"), event("3", 1, None, "d3")];
    ingest(&store, &apart, 10, options("a")).await.unwrap();
    store.compact(full(10), |_| {}).await.unwrap();
    let joined = [event("4", 9, Some("u"), "d1"), event("5", 9, Some("u"), "d3")];
    ingest(&store, &joined, 10, options("a")).await.unwrap();
    store.compact(full(10), |_| {}).await.unwrap();
    assert_settled(&store, 10).await;
    let snapshot = store.snapshot().await.unwrap();
    let file = snapshot.data_files.values().next().unwrap();
    let stored = read_file(&store, file).await;
    let order: Vec<_> = stored.iter().filter_map(|s| s.row.event_id.as_deref()).collect();
    assert_eq!(order, ["3", "1", "4", "5", "2"]);
}

// If this fails, a compaction of a large database takes the machine down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_stays_within_its_memory() {
    const LIMIT: u64 = 4 << 20;
    let store = memory_store().await;
    let mut rows = rows(11, 14_000);
    for (number, row) in (1_u128..).zip(&mut rows) {
        // Text that cannot be compressed, so that the data is large and the test is quick.
        let noise: String = (0..20_u128)
            .map(|part| {
                format!("{:032x}", (number << 64 | part).wrapping_mul(0xda94_2042_e4dd_58b5))
            })
            .collect();
        row.properties = Some(format!("{{\"noise\":\"{noise}\"}}"));
    }
    for part in rows.chunks(2_000) {
        let options = IngestOptions { memory_bytes_max: 16 << 20, ..options("a") };
        ingest(&store, part, 1_000, options).await.unwrap();
    }
    let before = read_all(&store, &store.snapshot().await.unwrap()).await;
    let text: usize =
        before.iter().filter_map(|stored| Some(stored.row.properties.as_ref()?.len())).sum();
    assert!(text as u64 > 2 * LIMIT, "the data is no larger than the limit");
    let options = CompactionOptions { memory_bytes_max: LIMIT, ..full(4_000) };
    let summary = store.compact(options, |_| {}).await.unwrap();
    assert_eq!(read_all(&store, &store.snapshot().await.unwrap()).await, before);
    assert_settled(&store, 4_000).await;
    assert!(summary.memory_bytes_peak > 0);
    assert!(summary.memory_bytes_peak <= LIMIT, "held {} bytes", summary.memory_bytes_peak);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_and_compaction_at_once_lose_nothing() {
    let store = memory_store().await;
    let all = rows(13, 400);
    ingest(&store, &all[..200], 50, options("a")).await.unwrap();
    let writer = {
        let store = Store::open(store.bucket().clone()).await.unwrap();
        let rest = all[200..].to_vec();
        tokio::spawn(async move {
            for rows in rest.chunks(20) {
                ingest(&store, rows, 10, options("a")).await.unwrap();
            }
        })
    };
    let compactors: Vec<_> = (0..2)
        .map(|_| {
            let bucket = store.bucket().clone();
            tokio::spawn(async move {
                let store = Store::open(bucket).await.unwrap();
                for _ in 0..3 {
                    store.compact(full(100), |_| {}).await.unwrap();
                }
            })
        })
        .collect();
    writer.await.unwrap();
    for compactor in compactors {
        compactor.await.unwrap();
    }
    store.compact(full(100), |_| {}).await.unwrap();
    let stored = read_all(&store, &store.snapshot().await.unwrap()).await;
    assert_eq!(plain(stored), sorted(&all));
    assert_settled(&store, 100).await;
}

// If this fails, a question about one member reads the texts of all of them.
#[tokio::test]
async fn a_compacted_file_has_members_of_properties_in_columns_of_their_own() {
    let store = memory_store().await;
    ingest(&store, &rows(7, 600), 100, options("a")).await.unwrap();
    store.compact(full(1_000_000), |_| {}).await.unwrap();
    for file in store.snapshot().await.unwrap().data_files.values() {
        let reader = DataFileReader::open(store.bucket(), file).await.unwrap();
        let columns = reader.members().unwrap().iter().map(Member::column).collect::<Vec<_>>();
        assert!(columns.contains(&"properties->>'land'".into()), "{columns:?}");
        let land = Field::new("properties->>'land'", event::label_type(), true);
        let n = Field::new("properties->'n'", DataType::Utf8, true);
        let texts = Field::new(event::PROPERTIES, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![land, n, texts]));
        let batches = reader.stored_columns(schema, 1_000).unwrap();
        let batches = batches.try_collect::<Vec<RecordBatch>>().await.unwrap();
        for batch in batches {
            let [land, n, texts] = batch.columns() else { panic!("{:?}", batch.schema()) };
            assert!([land, n].iter().all(|column| column.null_count() < column.len()));
            let is_told_twice =
                |row| texts.is_valid(row) && (land.is_valid(row) || n.is_valid(row));
            assert!(!(0..batch.num_rows()).any(is_told_twice), "{batch:?}");
        }
    }
}

//! Ingest as a whole. Breaks for a user if this fails: events are lost or counted twice.

use crate::events::*;
use habitue_storage::Error;
use habitue_storage::ingest::{DuplicateRow, IngestOptions, RejectedRow};
use habitue_storage::store::Store;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn small(source: &str) -> IngestOptions {
    // So little that nearly every batch becomes a chunk of its own.
    IngestOptions { memory_bytes_max: 64 << 10, ..options(source) }
}

fn without_ids(rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| Row { event_id: None, ..row.clone() }).collect()
}

fn ids(stored: &[StoredRow]) -> Vec<String> {
    let mut ids: Vec<String> = stored.iter().filter_map(|s| s.row.event_id.clone()).collect();
    ids.sort();
    ids
}

async fn read_newest(store: &Store) -> Vec<StoredRow> {
    read_all(store, &store.snapshot().await.unwrap()).await
}

#[tokio::test]
async fn what_went_in_can_be_read() {
    let store = memory_store().await;
    let rows = rows(1, 500);
    let summary = ingest(&store, &rows, 100, options("a")).await.unwrap();
    assert_eq!((summary.version, summary.events_accepted), (Some(2), 500));
    assert_eq!(plain(read_newest(&store).await), sorted(&rows));
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(u64::from(snapshot.identifiers()), summary.identifiers_new);
    assert_eq!(i64::from(snapshot.identity_map.customers), summary.customers_new);
    for file in snapshot.data_files.values() {
        assert_eq!((file.ingested_from, file.ingested_to), (2, 2));
        let rows = read_file(&store, file).await;
        let keys: Vec<_> = rows
            .iter()
            .map(|stored| (stored.identifier.map_or(u64::MAX, u64::from), stored.row.ts))
            .collect();
        assert!(keys.is_sorted(), "{} is not sorted by identifier and time", file.object.path);
        let index = store.file_index(file).await.unwrap();
        for group in index.groups() {
            for row in group.rows.clone() {
                let identifier = rows[row as usize].identifier;
                assert_eq!(identifier.as_slice(), group.identifiers, "row {row}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    // If this fails, a file that is sent twice is counted twice.
    #[test]
    fn batches_sent_again_change_nothing(
        seed in any::<u64>(),
        sizes in prop::collection::vec(1_usize..120, 1..5),
        has_ids in any::<bool>(),
    ) {
        let runtime = runtime();
        runtime.block_on(async {
            let store = memory_store().await;
            let mut rows = rows(seed, 200);
            rows.extend_from_within(0..20);
            let rows = if has_ids { rows } else { without_ids(&rows) };
            let wanted = if has_ids { 200 } else { 220 };
            let mut first = None;
            for (time, size) in sizes.into_iter().enumerate() {
                let options = if time % 2 == 0 { small("a") } else { options("b") };
                let summary = ingest(&store, &rows, size, options).await.unwrap();
                let stored = read_newest(&store).await;
                match &first {
                    None => {
                        assert_eq!(summary.events_accepted, wanted);
                        first = Some(stored);
                    }
                    Some(first) => {
                        assert_eq!(summary.version, None);
                        assert_eq!((summary.events_accepted, summary.duplicates), (0, 220));
                        assert_eq!(&stored, first);
                    }
                }
            }
        });
    }

    // If this fails, the size of a buffer decides which events there are.
    #[test]
    fn any_cut_into_batches_gives_the_same_events(seed in any::<u64>(), size in 1_usize..300) {
        let runtime = runtime();
        runtime.block_on(async {
            let mut rows = without_ids(&rows(seed, 250));
            rows.extend_from_within(0..50);
            let (whole, cut) = (memory_store().await, memory_store().await);
            ingest(&whole, &rows, 1_000, options("a")).await.unwrap();
            ingest(&cut, &rows, size, small("a")).await.unwrap();
            let (whole, cut) = (read_newest(&whole).await, read_newest(&cut).await);
            assert_eq!(plain(whole), plain(cut));
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_writers_lose_nothing_and_double_nothing() {
    let store = memory_store().await;
    let all = rows(7, 600);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..5 {
        // Neighbours overlap by half: who comes later must see the events of who came first.
        let mine = all[writer * 100..writer * 100 + 200].to_vec();
        let store = Store::open(store.bucket().clone()).await.unwrap();
        writers.spawn(async move {
            let mut accepted = 0;
            for rows in mine.chunks(70) {
                accepted += ingest(&store, rows, 30, small("w")).await.unwrap().events_accepted;
            }
            accepted
        });
    }
    let accepted: u64 = writers.join_all().await.into_iter().sum();
    assert_eq!(accepted, 600);
    let stored = read_newest(&store).await;
    assert_eq!(plain(stored.clone()), sorted(&all));
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    for stored in stored {
        let own = stored.row.user_id.map(|user| format!("user {user}"));
        let own = own.or(stored.row.anonymous_id.map(|device| format!("device {device}")));
        let (Some(own), Some(number)) = (own, stored.identifier) else {
            continue;
        };
        assert_eq!(*numbers.entry(own.clone()).or_insert(number), number, "{own} has two numbers");
        assert_eq!(*names.entry(number).or_insert_with(|| own.clone()), own, "one number twice");
    }
}

#[tokio::test]
async fn an_id_is_the_same_event_near_its_time_only() {
    let store = memory_store().await;
    let at = |days: i64| Row {
        event_id: Some("x".into()),
        ts: START_US + days * DAY_US,
        event: "view".into(),
        ..Row::default()
    };
    let near_and_far = [at(0), at(40), at(100), at(101)];
    let summary = ingest(&store, &near_and_far, 1, small("a")).await.unwrap();
    assert_eq!((summary.events_accepted, summary.duplicates), (2, 2));
    let summary = ingest(&store, &near_and_far, 4, options("a")).await.unwrap();
    assert_eq!((summary.events_accepted, summary.duplicates), (0, 4));
}

#[tokio::test]
async fn equal_rows_are_kept_or_dropped_as_asked() {
    let row = Row { ts: START_US, event: "view".into(), ..Row::default() };
    let rows = vec![row; 3];
    let keep = memory_store().await;
    assert_eq!(ingest(&keep, &rows, 2, small("a")).await.unwrap().events_accepted, 3);
    let numbers: BTreeSet<String> = ids(&read_newest(&keep).await)
        .into_iter()
        .map(|id| id.rsplit_once('-').unwrap().1.to_owned())
        .collect();
    assert_eq!(numbers, BTreeSet::from(["1", "2", "3"].map(str::to_owned)));
    let drop = memory_store().await;
    let options = IngestOptions { on_duplicate_row: DuplicateRow::Drop, ..small("a") };
    let summary = ingest(&drop, &rows, 2, options).await.unwrap();
    assert_eq!((summary.events_accepted, summary.duplicates), (1, 2));
}

// The id is a promise to those who ingest the same file with another version of the program.
#[tokio::test]
async fn the_id_of_a_row_without_one_never_changes() {
    let store = memory_store().await;
    let row = Row {
        ts: START_US,
        event: "buy".into(),
        user_id: Some("u1".into()),
        amount: Some("1.5".into()),
        properties: Some("{}".into()),
        ..Row::default()
    };
    ingest(&store, &[row], 1, options("a")).await.unwrap();
    let id = ids(&read_newest(&store).await).remove(0);
    assert_eq!(id, PINNED_ID);
}

const PINNED_ID: &str = "h22209c85abefeb576b3cec5ba0e98a9a-1";

#[tokio::test]
async fn rejected_rows_are_kept_once_and_may_come_alone() {
    let store = memory_store().await;
    let bad = |row: u64| RejectedRow { row, reason: "not JSON".into(), raw: "{{".into() };
    for (rows, version) in [(0..2, Some(2)), (0..2, None), (1..3, Some(3))] {
        let mut ingest = store.begin_ingest(options("file.csv")).await.unwrap();
        let count = rows.end - rows.start;
        for row in rows {
            ingest.reject(bad(row)).await.unwrap();
        }
        let summary = ingest.commit().await.unwrap();
        assert_eq!((summary.version, summary.rejected), (version, count));
    }
    let snapshot = store.snapshot().await.unwrap();
    let batches = store.rejected_batches(&snapshot).await.unwrap();
    assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 3);
    assert_eq!(batches[0].schema(), habitue_storage::rejected::rejected_schema());
}

#[tokio::test]
async fn too_many_rejects_commit_nothing() {
    let store = memory_store().await;
    let options = IngestOptions { max_rejects: Some(1), ..small("a") };
    let mut ingest = store.begin_ingest(options).await.unwrap();
    ingest.append(&batch(&rows(3, 100)), 0).await.unwrap();
    let bad = [Row { event: " ".into(), ts: 0, ..Row::default() }];
    ingest.append(&batch(&bad), 100).await.unwrap();
    ingest.append(&batch(&bad), 101).await.unwrap();
    let error = ingest.commit().await.unwrap_err();
    assert!(matches!(error, Error::TooManyRejects { rejected: 2, limit: 1, .. }), "{error:?}");
    assert_eq!(store.snapshot().await.unwrap().version, 1);
}

#[tokio::test]
async fn nothing_in_makes_no_version() {
    let store = memory_store().await;
    let summary = ingest(&store, &[], 1, options("a")).await.unwrap();
    assert_eq!(summary, habitue_storage::ingest::IngestSummary::default());
    assert_eq!(store.snapshot().await.unwrap().version, 1);
}

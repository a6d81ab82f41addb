//! Small events for tests of ingest and compaction: made, brought in, and read back.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Decimal128Type, Int32Type, TimestampMicrosecondType, UInt32Type};
use chrono::DateTime;
use futures::TryStreamExt;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::data_file::read_columns;
use habitue_storage::event;
use habitue_storage::ingest::{IngestOptions, IngestSummary};
use habitue_storage::log::action::DataFile;
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// 2025-01-01T00:00:00Z.
pub const START_US: i64 = 1_735_689_600_000_000;
pub const HOUR_US: i64 = 3_600_000_000;
pub const DAY_US: i64 = 24 * HOUR_US;

/// An event as a test makes it and as it reads it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub event_id: Option<String>,
    pub ts: i64,
    pub event: String,
    pub user_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub amount: Option<String>,
    pub properties: Option<String>,
}

/// Events of a few people on several devices over some months, in no order.
pub fn rows(seed: u64, count: usize) -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|number| {
            let person = random.random_range(0..count / 8 + 3);
            let device = random.random_range(0..2);
            let is_known = random.random_bool(0.4);
            let is_nobody = random.random_bool(0.05);
            Row {
                event_id: Some(format!("e{number}")),
                ts: START_US + random.random_range(0..100 * 24) * HOUR_US,
                event: ["view", "cart", "buy"][random.random_range(0..3)].into(),
                user_id: (is_known && !is_nobody).then(|| format!("u{person}")),
                anonymous_id: (!is_nobody).then(|| format!("d{person}-{device}")),
                amount: random.random_bool(0.2).then(|| format!("{number}.2500")),
                properties: random.random_bool(0.3).then(|| properties(number)),
            }
        })
        .collect()
}

/// Most are made of the same members; some are not.
fn properties(number: usize) -> String {
    match number % 8 {
        0 => format!("{{ \"n\" : {number} }}"),
        1 => format!("{{\"land\":null,\"n\":{number}}}"),
        2 => "{}".into(),
        3 => format!("{{\"n\":{number},\"land\":\"AT\"}}"),
        4 => format!("{{\"n\":{number}}}"),
        _ => format!("{{\"land\":\"l{}\",\"n\":{number}}}", number % 5),
    }
}

pub fn batch(rows: &[Row]) -> RecordBatch {
    let text = |of: &dyn Fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let ts = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.ts));
    RecordBatch::try_from_iter_with_nullable([
        ("event_id", text(&|row| row.event_id.as_deref()), true),
        ("ts", Arc::new(ts.with_timezone("UTC")) as ArrayRef, true),
        ("event", text(&|row| Some(&row.event)), true),
        ("user_id", text(&|row| row.user_id.as_deref()), true),
        ("anonymous_id", text(&|row| row.anonymous_id.as_deref()), true),
        ("amount", text(&|row| row.amount.as_deref()), true),
        ("properties", text(&|row| row.properties.as_deref()), true),
    ])
    .unwrap()
}

pub async fn memory_store() -> Store {
    let bucket = Bucket::open("memory://").await.unwrap();
    Store::create(bucket, Catalog::default()).await.unwrap()
}

pub fn options(source: &str) -> IngestOptions {
    IngestOptions::new(source, DateTime::from_timestamp_micros(START_US).unwrap())
}

/// Brings rows in, in batches of this size.
pub async fn ingest(
    store: &Store,
    rows: &[Row],
    batch_rows: usize,
    options: IngestOptions,
) -> habitue_storage::Result<IngestSummary> {
    let mut ingest = store.begin_ingest(options).await?;
    for (place, rows) in rows.chunks(batch_rows).enumerate() {
        ingest.append(&batch(rows), (place * batch_rows) as u64).await?;
    }
    ingest.commit().await
}

/// An event with the number that the database gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredRow {
    pub row: Row,
    pub identifier: Option<u32>,
}

/// The rows of one data file in file order.
pub async fn read_file(store: &Store, file: &DataFile) -> Vec<StoredRow> {
    let schema = event::file_schema(["user_id", "anonymous_id"]);
    let stream = read_columns(store.bucket(), file, schema, 1_000).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    batches.iter().flat_map(stored_rows).collect()
}

/// All rows of a version, sorted by what they say.
pub async fn read_all(store: &Store, snapshot: &Snapshot) -> Vec<StoredRow> {
    let mut all = Vec::new();
    for file in snapshot.data_files.values() {
        all.extend(read_file(store, file).await);
    }
    all.sort();
    all
}

fn stored_rows(batch: &RecordBatch) -> Vec<StoredRow> {
    let text = |name: &str, row: usize| -> Option<String> {
        let array = batch.column_by_name(name).unwrap().as_string::<i32>();
        array.is_valid(row).then(|| array.value(row).to_owned())
    };
    let ts = batch.column_by_name("ts").unwrap().as_primitive::<TimestampMicrosecondType>();
    let amounts = batch.column_by_name("amount").unwrap().as_primitive::<Decimal128Type>();
    let identifiers = batch.column_by_name("identifier_id").unwrap().as_primitive::<UInt32Type>();
    let events = batch.column_by_name("event").unwrap().as_dictionary::<Int32Type>();
    let names = events.values().as_string::<i32>();
    (0..batch.num_rows())
        .map(|row| StoredRow {
            row: Row {
                event_id: text("event_id", row),
                ts: ts.value(row),
                event: names.value(events.key(row).unwrap()).to_owned(),
                user_id: text("user_id", row),
                anonymous_id: text("anonymous_id", row),
                amount: amounts.is_valid(row).then(|| amounts.value_as_string(row)),
                properties: text("properties", row),
            },
            identifier: identifiers.is_valid(row).then(|| identifiers.value(row)),
        })
        .collect()
}

/// What the rows say, without numbers; sorted.
pub fn plain(stored: Vec<StoredRow>) -> Vec<Row> {
    let mut rows: Vec<Row> = stored.into_iter().map(|stored| stored.row).collect();
    rows.sort();
    rows
}

/// Rows in the order in which they compare equal to what was read back.
pub fn sorted(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort();
    rows
}

/// A runtime for each case of a property test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

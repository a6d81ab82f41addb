//! Dictionary runs: Parquet files of identifiers with consecutive numbers.

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::identity::rules::IdentifierFacts;
use crate::log::action::DictionaryRun;
use crate::parquet_object::{Columns, decode, encode};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use bytes::Bytes;
use std::sync::Arc;

/// More identifiers than this do not stand in one run: it is written and read as a whole.
pub(crate) const RUN_IDENTIFIERS_MAX: usize = 1 << 21;

/// `identifier_id, namespace, value, hash, first_seen, blocked`.
pub(crate) fn run_schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("identifier_id", DataType::UInt32, false),
        Field::new("namespace", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, false),
        Field::new("hash", DataType::FixedSizeBinary(16), false),
        Field::new("first_seen", crate::event::timestamp_type(), false),
        Field::new("blocked", DataType::Boolean, false),
    ]))
}

/// Identifiers that are about to be written, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewIdentifiers {
    pub namespaces: Vec<u16>,
    pub values: Vec<Box<str>>,
    pub hashes: Vec<u128>,
    pub first_seen_us: Vec<i64>,
    pub blocked: Vec<bool>,
}

impl NewIdentifiers {
    /// The identifiers `from..to` of these as rows of a run; `first` is the number of the first of
    /// all, `names` the namespaces' names.
    pub fn rows(&self, first: u32, from: usize, to: usize, names: &[&str]) -> Result<RecordBatch> {
        let ids = (from..to).map(|place| first + place as u32);
        let namespaces = self.namespaces[from..to].iter();
        let namespaces = namespaces.map(|number| names.get(usize::from(*number)).copied());
        let hashes = self.hashes[from..to].iter().map(|hash| hash.to_le_bytes());
        let hashes = FixedSizeBinaryArray::try_from_iter(hashes).map_err(arrow_failed)?;
        let first_seen = TimestampMicrosecondArray::from(self.first_seen_us[from..to].to_vec());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from_iter_values(ids)),
            Arc::new(namespaces.collect::<StringArray>()),
            Arc::new(StringArray::from_iter_values(&self.values[from..to])),
            Arc::new(hashes),
            Arc::new(first_seen.with_timezone("UTC")),
            Arc::new(BooleanArray::from(self.blocked[from..to].to_vec())),
        ];
        RecordBatch::try_new(run_schema(), columns).map_err(arrow_failed)
    }
}

fn arrow_failed(source: arrow::error::ArrowError) -> Error {
    Error::Arrow { during: "making a dictionary run".into(), source: Arc::new(source) }
}

/// The bytes of a run.
pub(crate) fn encode_run(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let columns = Columns {
        delta: &["identifier_id", "first_seen"],
        dictionary: &["namespace"],
        plain: &["hash"],
    };
    encode(&run_schema(), batches, &columns)
}

/// Reads some columns of a run, always with `identifier_id` first, and checks that it holds the
/// identifiers that the log says it holds.
pub(crate) fn decode_run(
    run: &DictionaryRun,
    object: Bytes,
    columns: &[&str],
) -> Result<Vec<RecordBatch>> {
    let path = run.object.path.as_str();
    let batches = decode(path, object, &run_schema(), columns)?;
    let mut expected = run.first_id;
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<UInt32Type>();
        for &id in ids.values() {
            if id != expected {
                let reason = format!("identifier_id is {id}, wanted {expected}");
                return Err(Error::corrupt(path, reason));
            }
            expected = expected.saturating_add(1);
        }
    }
    if expected - run.first_id != run.count {
        let reason = format!("{} identifiers, wanted {}", expected - run.first_id, run.count);
        return Err(Error::corrupt(path, reason));
    }
    Ok(batches)
}

/// How many identifiers rows hold.
pub(crate) fn count_of(rows: &[RecordBatch]) -> u32 {
    rows.iter().map(|rows| rows.num_rows() as u32).sum()
}

/// The hashes of rows whose second column they are.
pub(crate) fn hashes_of(batch: &RecordBatch) -> Vec<u128> {
    let hashes = batch.column(1).as_fixed_size_binary();
    let hash_of = |bytes: Option<&[u8]>| {
        let bytes: [u8; 16] = bytes?.try_into().ok()?;
        Some(u128::from_le_bytes(bytes))
    };
    hashes.iter().map(|bytes| hash_of(bytes).unwrap_or_default()).collect()
}

/// Adds what the rules look at, from rows of `identifier_id, hash, namespace, blocked`.
pub(crate) fn facts_of(
    path: &str,
    batch: &RecordBatch,
    catalog: &Catalog,
    facts: &mut Vec<IdentifierFacts>,
) -> Result<()> {
    let namespaces = batch.column(2).as_string::<i32>();
    let blocked = batch.column(3).as_boolean();
    for (row, hash) in hashes_of(batch).into_iter().enumerate() {
        let name = namespaces.value(row);
        let namespace = catalog.namespace_number(name).ok_or_else(|| {
            Error::corrupt(path, format!("namespace {name:?} is not in the catalog"))
        })?;
        facts.push(IdentifierFacts { namespace, hash, blocked: blocked.value(row) });
    }
    Ok(())
}

//! Rows that could not be understood: kept with their reasons, for people to read.
//!
//! They lie in Parquet files with the columns of [`rejected_schema`] and `reject_id`, a hash of
//! source, row, reason and raw text: a row whose `reject_id` is there already is not kept again, so
//! that ingesting a file twice does not double its rejected rows.

use crate::data_file::read;
use crate::error::{Error, Result};
use crate::ingest::{IngestOptions, RejectedRow};
use crate::layout;
use crate::log::action::RejectedFile;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::{AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use bytes::Bytes;
use futures::TryStreamExt;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

const REJECT_ID: &str = "reject_id";
/// Rejected rows are written when they take more memory than this.
const BUFFER_BYTES_MAX: usize = 16 << 20;
/// Two rows with one 64-bit hash among so many are too likely; further ones are all kept.
const IDS_MAX: usize = 16 << 20;

/// The columns of `system.rejected_events`.
pub fn rejected_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("rejected_at", crate::event::timestamp_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("row", DataType::UInt64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("raw", DataType::Utf8, false),
    ]))
}

fn file_schema() -> SchemaRef {
    let mut fields = rejected_schema().fields().to_vec();
    fields.push(Arc::new(Field::new(REJECT_ID, DataType::UInt64, false)));
    Arc::new(Schema::new(fields))
}

impl Store {
    /// All rejected rows of a version, in the order in which they came.
    ///
    /// # Errors
    /// What reading their files says.
    pub async fn rejected_batches(&self, snapshot: &Snapshot) -> Result<Vec<RecordBatch>> {
        let schema = rejected_schema();
        let mut all = Vec::new();
        for file in snapshot.rejected_files.values() {
            for batch in read_file(self, file, None).await? {
                all.push(read::with_schema(&batch, &schema, &file.object.path)?);
            }
        }
        Ok(all)
    }
}

/// The rejected rows of one ingest.
pub(crate) struct RejectedRows {
    source: String,
    rejected_at_us: i64,
    first_reason: Option<String>,
    buffer: Vec<RejectedRow>,
    buffer_bytes: usize,
    /// Files that are written and not committed.
    files: Vec<RejectedFile>,
}

impl RejectedRows {
    pub(crate) fn new(options: &IngestOptions) -> Self {
        Self {
            source: options.source.clone(),
            rejected_at_us: options.received_at.timestamp_micros(),
            first_reason: None,
            buffer: Vec::new(),
            buffer_bytes: 0,
            files: Vec::new(),
        }
    }

    /// Why the first row was rejected.
    pub(crate) fn first_reason(&self) -> Option<&str> {
        self.first_reason.as_deref()
    }

    pub(crate) async fn push(&mut self, store: &Store, row: RejectedRow) -> Result<()> {
        self.first_reason.get_or_insert_with(|| row.reason.clone());
        self.buffer_bytes += size_of::<RejectedRow>() + row.reason.len() + row.raw.len();
        self.buffer.push(row);
        if self.buffer_bytes > BUFFER_BYTES_MAX { self.flush(store).await } else { Ok(()) }
    }

    /// The files with those rows that this snapshot does not hold.
    pub(crate) async fn write_new(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
    ) -> Result<Vec<RejectedFile>> {
        self.flush(store).await?;
        let mut kept = Vec::new();
        for file in std::mem::take(&mut self.files) {
            kept.extend(without_known(store, snapshot, file).await?);
        }
        self.files.clone_from(&kept);
        Ok(kept)
    }

    async fn flush(&mut self, store: &Store) -> Result<()> {
        self.buffer_bytes = 0;
        let rows = std::mem::take(&mut self.buffer);
        if rows.is_empty() {
            return Ok(());
        }
        let ids = rows.iter().map(|row| reject_id(&self.source, row));
        let batch = RecordBatch::try_new(
            file_schema(),
            vec![
                Arc::new(
                    TimestampMicrosecondArray::from(vec![self.rejected_at_us; rows.len()])
                        .with_timezone("UTC"),
                ),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|_| &self.source))),
                Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.row))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.reason))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.raw))),
                Arc::new(UInt64Array::from_iter_values(ids)),
            ],
        );
        let batch = batch.map_err(arrow_error)?;
        self.files.push(write_file(store, &batch).await?);
        Ok(())
    }
}

fn reject_id(source: &str, row: &RejectedRow) -> u64 {
    let mut hasher = Xxh3::new();
    for part in [source, &row.reason, &row.raw] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&row.row.to_le_bytes());
    hasher.digest()
}

/// The file, a smaller one, or none, so that no row is in the snapshot already.
async fn without_known(
    store: &Store,
    snapshot: &Snapshot,
    file: RejectedFile,
) -> Result<Option<RejectedFile>> {
    let batches = read_file(store, &file, None).await?;
    let batch = concat_batches(&file_schema(), &batches).map_err(arrow_error)?;
    let ids = ids_of(&batch, &file.object.path)?;
    if ids.len() > IDS_MAX {
        return Ok(Some(file));
    }
    let mut unknown: HashSet<u64> = ids.values().iter().copied().collect();
    for known in snapshot.rejected_files.values() {
        for batch in read_file(store, known, Some(REJECT_ID)).await? {
            for id in ids_of(&batch, &known.object.path)?.values() {
                unknown.remove(id);
            }
        }
    }
    if unknown.len() == ids.len() {
        return Ok(Some(file));
    }
    if unknown.is_empty() {
        return Ok(None);
    }
    let is_new = ids.iter().map(|id| id.map(|id| unknown.contains(&id))).collect();
    let batch = arrow::compute::filter_record_batch(&batch, &is_new).map_err(arrow_error)?;
    Ok(Some(write_file(store, &batch).await?))
}

fn ids_of<'a>(batch: &'a RecordBatch, path: &str) -> Result<&'a UInt64Array> {
    batch
        .column_by_name(REJECT_ID)
        .and_then(|ids| ids.as_primitive_opt::<UInt64Type>())
        .ok_or_else(|| Error::corrupt(path, "column reject_id is missing"))
}

async fn write_file(store: &Store, batch: &RecordBatch) -> Result<RejectedFile> {
    let path = layout::rejected(store.bucket().new_uuid());
    let bytes = encode(batch)
        .map_err(|error| Error::Parquet { path: path.clone(), source: Arc::new(error) })?;
    let object = store.bucket().put_new(&path, Bytes::from(bytes)).await?;
    Ok(RejectedFile { object, rows: batch.num_rows() as u64 })
}

fn encode(batch: &RecordBatch) -> parquet::errors::Result<Vec<u8>> {
    // No statistics: the smallest raw row is personal data.
    let properties = WriterProperties::builder()
        .set_created_by("habitue".into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.into_inner()
}

async fn read_file(
    store: &Store,
    file: &RejectedFile,
    column: Option<&str>,
) -> Result<Vec<RecordBatch>> {
    let path = &file.object.path;
    let mut builder = read::open(store.bucket(), &file.object).await?;
    if let Some(column) = column {
        let mask = ProjectionMask::columns(builder.parquet_schema(), BTreeSet::from([column]));
        builder = builder.with_projection(mask);
    }
    let stream = builder.build().map_err(|error| read::read_error(path, error))?;
    stream.try_collect().await.map_err(|error| read::read_error(path, error))
}

fn arrow_error(error: arrow::error::ArrowError) -> Error {
    Error::Arrow { during: "putting rejected rows together".into(), source: Arc::new(error) }
}

//! Sorted rows become the bytes of a data file, its index and its statistics for the log.

use super::blocks::BlockHasher;
use super::index::{FileIndex, FileIndexBuilder};
use super::index_object::IndexObject;
use super::members::{Members, Split, with_texts};
use super::properties::{worth_zstd, writer_properties};
use crate::bucket::{Bucket, ObjectWriter};
use crate::error::{Error, Result};
use crate::event;
use crate::frame::FrameKind;
use crate::layout;
use crate::log::action::{DataFile, EVENT_NAMES_MAX, SortedBy};
use crate::partition::Partition;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Schema, SchemaRef, TimestampMicrosecondType, UInt32Type};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// What the log has to know of a data file besides its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataFileOrigin {
    pub(crate) partition: Partition,
    pub(crate) sorted_by: SortedBy,
    /// The oldest and the newest commit that its rows came with; 0 is the commit that adds it.
    pub(crate) ingested: (u64, u64),
}

/// Encodes one data file; give it rows in their order.
pub(crate) struct DataFileEncoder {
    path: String,
    origin: DataFileOrigin,
    writer: ArrowWriter<Vec<u8>>,
    /// The members of `properties` that it gives columns.
    members: Option<Members>,
    /// Of the bytes that were taken.
    blocks: BlockHasher,
    index: FileIndexBuilder,
    statistics: Statistics,
}

/// The end of an encoded data file.
pub(crate) struct EncodedEnd {
    /// The bytes that [`DataFileEncoder::take_bytes`] did not give yet.
    pub(crate) bytes: Vec<u8>,
    /// Of the bytes that it did give.
    blocks: BlockHasher,
    path: String,
    origin: DataFileOrigin,
    index: FileIndex,
    statistics: Statistics,
}

/// What the log says of the rows of a data file.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    rows: u64,
    ts: Option<(i64, i64)>,
    identifiers: Option<(u32, u32)>,
    event_names: BTreeSet<String>,
}

impl DataFileEncoder {
    /// Begins a data file of this name, which will have at most so many rows and columns for these
    /// members of `properties`. Its first rows tell how its columns are compressed; they are still to
    /// be written.
    pub(crate) fn new(
        first: &RecordBatch,
        origin: DataFileOrigin,
        name: Uuid,
        rows_max: usize,
        members: Option<Members>,
    ) -> Result<Self> {
        let Partition { unit, start_us } = origin.partition;
        let path = layout::data_file(unit, start_us, name)?;
        let failed = |error| parquet_error(&path, error);
        let first = members.as_ref().map_or_else(|| Ok(first.clone()), |of| split(first, of))?;
        let (schema, worth_zstd) = (first.schema(), worth_zstd(&first));
        let properties = writer_properties(&schema, origin.sorted_by, rows_max, &worth_zstd);
        let properties = properties.map_err(failed)?;
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(failed)?;
        let (index, statistics) = (FileIndexBuilder::default(), Statistics::default());
        let blocks = BlockHasher::default();
        Ok(Self { path, origin, writer, members, blocks, index, statistics })
    }

    /// Adds rows. `group_of` gives the key that rows of an identifier are grouped by: the
    /// identifier itself, or its customer.
    pub(crate) fn write(
        &mut self,
        batch: &RecordBatch,
        group_of: impl Fn(u32) -> u32,
    ) -> Result<()> {
        let identifiers = column(batch, event::IDENTIFIER_ID)?.as_primitive::<UInt32Type>();
        for identifier in identifiers {
            self.index.push(identifier.map(&group_of), identifier)?;
        }
        self.statistics.observe(batch)?;
        let written = match &self.members {
            Some(members) => self.writer.write(&split(batch, members)?),
            None => self.writer.write(batch),
        };
        written.map_err(|error| parquet_error(&self.path, error))
    }

    /// The rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.statistics.rows
    }

    /// The memory it holds.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.writer.memory_size() + self.writer.inner().len()
    }

    /// The rows of the row group so far.
    pub(crate) fn rows_in_memory(&self) -> usize {
        self.writer.in_progress_rows()
    }

    /// Closes the row group so far, to give memory back.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| parquet_error(&self.path, error))
    }

    /// The bytes since the last call, for the front of the object.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(self.writer.inner_mut());
        self.blocks.update(&bytes);
        bytes
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<EncodedEnd> {
        let Self { path, origin, writer, blocks, index, statistics, .. } = self;
        let bytes = writer.into_inner().map_err(|error| parquet_error(&path, error))?;
        Ok(EncodedEnd { bytes, blocks, path, origin, index: index.finish(), statistics })
    }

    /// The path of the Parquet file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

impl EncodedEnd {
    /// A file that was encoded in another way.
    pub(super) fn new(
        bytes: Vec<u8>,
        path: String,
        origin: DataFileOrigin,
        index: FileIndex,
        statistics: Statistics,
    ) -> Self {
        Self { bytes, blocks: BlockHasher::default(), path, origin, index, statistics }
    }

    /// Writes a file whose bytes were never taken, and its index.
    pub(crate) async fn put(mut self, bucket: &Bucket) -> Result<DataFile> {
        let bytes = self.take_bytes();
        let object = bucket.put_new(&self.path, bytes).await?;
        self.put_index(bucket, object).await
    }

    /// Writes the end of a file whose front stands in the writer, and its index.
    pub(crate) async fn put_after(
        mut self,
        bucket: &Bucket,
        mut front: ObjectWriter,
    ) -> Result<DataFile> {
        front.append(self.take_bytes()).await?;
        let object = front.finish().await?;
        self.put_index(bucket, object).await
    }

    fn take_bytes(&mut self) -> Bytes {
        self.blocks.update(&self.bytes);
        Bytes::from(std::mem::take(&mut self.bytes))
    }

    async fn put_index(
        self,
        bucket: &Bucket,
        object: crate::log::action::ObjectRef,
    ) -> Result<DataFile> {
        let payload = IndexObject::encode(&self.blocks.finish(), &self.index)?;
        let index_path = layout::index_of(&self.path);
        let index = bucket.put_framed(FrameKind::Index, &index_path, &payload).await?;
        let Self { statistics, origin, .. } = self;
        let (ts_min_us, ts_max_us) = statistics
            .ts
            .ok_or_else(|| Error::Internal("a data file without rows was written".into()))?;
        let has_few_names = statistics.event_names.len() <= EVENT_NAMES_MAX;
        Ok(DataFile {
            object,
            index,
            rows: statistics.rows,
            ts_min_us,
            ts_max_us,
            partition_unit: origin.partition.unit,
            partition_start_us: origin.partition.start_us,
            event_names: has_few_names.then(|| statistics.event_names.into_iter().collect()),
            identifier_min: statistics.identifiers.map(|(min, _)| min),
            identifier_max: statistics.identifiers.map(|(_, max)| max),
            sorted_by: origin.sorted_by,
            ingested_from: origin.ingested.0,
            ingested_to: origin.ingested.1,
        })
    }
}

impl Statistics {
    fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
        self.ts = wider(self.ts, arrow::compute::min(ts).zip(arrow::compute::max(ts)));
        let identifiers = column(batch, event::IDENTIFIER_ID)?.as_primitive::<UInt32Type>();
        let extremes = arrow::compute::min(identifiers).zip(arrow::compute::max(identifiers));
        self.identifiers = wider(self.identifiers, extremes);
        self.observe_names(column(batch, event::EVENT)?);
        Ok(())
    }

    /// Takes in a row, but its event.
    pub(super) fn observe_key(&mut self, identifier: Option<u32>, ts_us: i64) {
        self.rows += 1;
        self.ts = wider(self.ts, Some((ts_us, ts_us)));
        self.identifiers = wider(self.identifiers, identifier.zip(identifier));
    }

    /// Takes in the events of some rows.
    pub(super) fn observe_names(&mut self, events: &ArrayRef) {
        let events = events.as_dictionary::<Int32Type>();
        let names = events.values().as_string::<i32>();
        // A batch may carry a dictionary with names that none of its rows has.
        let mut used = vec![false; names.len()];
        for &key in events.keys().values() {
            if let Some(used) = usize::try_from(key).ok().and_then(|key| used.get_mut(key)) {
                *used = true;
            }
        }
        for (name, used) in names.iter().zip(used) {
            if let Some(name) = name
                && used
                && self.event_names.len() <= EVENT_NAMES_MAX
                && !self.event_names.contains(name)
            {
                self.event_names.insert(name.to_owned());
            }
        }
    }
}

/// The columns of a file with columns for these members.
fn schema_with(schema: &SchemaRef, members: Option<&Members>) -> SchemaRef {
    let Some(members) = members else {
        return Arc::clone(schema);
    };
    let fields = schema.fields().iter().cloned().chain(members.fields().map(Arc::new));
    let mut metadata = schema.metadata().clone();
    metadata.extend([members.metadata()]);
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata))
}

/// The rows with members of `properties` in columns of their own.
fn split(batch: &RecordBatch, members: &Members) -> Result<RecordBatch> {
    let texts = column(batch, event::PROPERTIES)?.as_string::<i32>();
    let Split { whole, columns } = members.split(texts);
    let all = with_texts(batch, &whole).chain(columns);
    RecordBatch::try_new(schema_with(&batch.schema(), Some(members)), all.collect())
        .map_err(|error| Error::Internal(format!("properties cannot be split: {error}")))
}

fn wider<T: Ord + Copy>(so_far: Option<(T, T)>, more: Option<(T, T)>) -> Option<(T, T)> {
    match (so_far, more) {
        (Some((min, max)), Some((more_min, more_max))) => {
            Some((min.min(more_min), max.max(more_max)))
        }
        (so_far, more) => so_far.or(more),
    }
}

/// A column that every data file has.
pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| Error::Internal(format!("a batch of events has no column {name:?}")))
}

/// An [`Error::Parquet`] about this object.
pub(crate) fn parquet_error(path: &str, error: parquet::errors::ParquetError) -> Error {
    Error::Parquet { path: path.to_owned(), source: Arc::new(error) }
}

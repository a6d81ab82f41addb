//! From chunks of events to files: ids, duplicates, identifiers, and writing in the background.

use super::event_ids;
use super::occurrence::OccurrenceCounter;
use super::seen::{self, IdRows, RecentIds};
use super::write::{ChunkToWrite, days_with_events};
use super::{DuplicateRow, IngestOptions};
use crate::background::Background;
use crate::catalog::Catalog;
use crate::data_file::encode::column;
use crate::error::{Error, Result};
use crate::event;
use crate::identity::Stitcher;
use crate::log::action::{DataFile, PartitionUnit};
use crate::partition::DAY_US;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use std::sync::Arc;

/// The state of an ingest that chunks go through one after the other.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) store: Store,
    pub(super) base: Arc<Snapshot>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) stitcher: Stitcher,
    /// The files that are written.
    pub(super) files: Vec<DataFile>,
    pub(super) threads: usize,
    /// Rows that went into files, or will.
    pub(super) accepted: u64,
    /// Rows that were known.
    pub(super) duplicates: u64,
    unit: Option<PartitionUnit>,
    occurrences: OccurrenceCounter,
    on_duplicate_row: DuplicateRow,
    writing: Option<Writing>,
}

/// A chunk that is being written, and the ids in it.
#[derive(Debug)]
struct Writing {
    files: Background<Vec<DataFile>>,
    ids: RecentIds,
}

impl Intake {
    /// Begins on the newest snapshot. Of what it remembers of rows without ids, at most so many
    /// bytes stay in memory.
    pub(super) async fn begin(
        store: &Store,
        options: &IngestOptions,
        remembered_bytes_max: usize,
    ) -> Result<Self> {
        let base = store.snapshot().await?;
        let catalog = store.catalog(&base).await?;
        let mut stitcher = Stitcher::load(store, &base).await?;
        stitcher.set_source(&options.source);
        Ok(Self {
            store: store.clone(),
            base,
            catalog,
            stitcher,
            files: Vec::new(),
            threads: options.threads,
            accepted: 0,
            duplicates: 0,
            unit: None,
            occurrences: OccurrenceCounter::new(remembered_bytes_max),
            on_duplicate_row: options.on_duplicate_row,
            writing: None,
        })
    }

    /// Gives a chunk ids, takes out what is known, stitches it, and begins to write it.
    pub(super) async fn take(&mut self, chunk: Vec<RecordBatch>) -> Result<()> {
        let (batches, dropped) =
            event_ids::fill(chunk, &mut self.occurrences, self.on_duplicate_row)?;
        self.duplicates += dropped;
        let unit = self.unit_for(&batches)?;
        let (batches, ids) = self.without_known(batches, unit).await?;
        let batches = self.stitch(batches)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok(());
        }
        self.accepted += rows as u64;
        self.finish_writing().await?;
        let bucket = self.store.bucket().clone();
        let chunk = ChunkToWrite::new(&bucket, batches, unit)?;
        let files = Background::begin("writing a chunk", chunk.write(bucket, self.threads));
        self.writing = Some(Writing { files, ids });
        Ok(())
    }

    /// Whether there is anything to commit.
    pub(super) fn has_files(&self) -> bool {
        self.writing.is_some() || !self.files.is_empty()
    }

    /// Waits for the chunk that is being written.
    pub(super) async fn finish_writing(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            self.files.extend(writing.files.answer().await?);
        }
        Ok(())
    }

    /// Bytes of the files that are written.
    pub(super) fn bytes_written(&self) -> u64 {
        self.files.iter().map(|file| file.object.bytes).sum()
    }

    pub(super) fn file_schema(&self) -> SchemaRef {
        event::file_schema(self.catalog.namespaces.iter().map(|namespace| namespace.name.as_str()))
    }

    /// The unit of the partitions of this ingest, chosen by its first chunk and by what is here
    /// already: whichever is denser.
    fn unit_for(&mut self, batches: &[RecordBatch]) -> Result<PartitionUnit> {
        if let Some(unit) = self.unit {
            return Ok(unit);
        }
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let by_chunk = PartitionUnit::for_volume(rows, days_with_events(batches)?);
        let unit = by_chunk.min(unit_of_snapshot(&self.base));
        self.unit = Some(unit);
        Ok(unit)
    }

    /// Takes out the rows whose ids are known: in the history, in this ingest's files, in the
    /// chunk that is being written, or earlier in this chunk.
    async fn without_known(
        &mut self,
        batches: Vec<RecordBatch>,
        unit: PartitionUnit,
    ) -> Result<(Vec<RecordBatch>, RecentIds)> {
        let rows = IdRows::of(&batches)?;
        let mut is_seen = vec![false; rows.len()];
        if let Some(writing) = &self.writing {
            writing.ids.mark(&rows, &mut is_seen);
        }
        let files = self.base.data_files.values().chain(&self.files);
        seen::mark_in_files(&self.store, files, &rows, &mut is_seen).await?;
        let ids = RecentIds::new(unit, rows, &mut is_seen);
        let (batches, dropped) = unseen(&batches, &is_seen)?;
        self.duplicates += dropped;
        Ok((batches, ids))
    }

    fn stitch(&mut self, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        let schema = self.file_schema();
        let catalog = Arc::clone(&self.catalog);
        let stitcher = &mut self.stitcher;
        batches
            .into_iter()
            .filter(|batch| batch.num_rows() > 0)
            .map(|batch| with_identifiers(stitcher, &catalog, &schema, &batch))
            .collect()
    }
}

/// Adds the column of identifiers, as the stitcher numbers them.
pub(super) fn with_identifiers(
    stitcher: &mut Stitcher,
    catalog: &Catalog,
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let ids = column(batch, event::EVENT_ID)?.as_string::<i32>();
    let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
    let namespaces: Vec<(u16, &StringArray)> = (0_u16..)
        .zip(&catalog.namespaces)
        .map(|(number, namespace)| Ok((number, column(batch, &namespace.name)?.as_string::<i32>())))
        .collect::<Result<_>>()?;
    let identifiers: UInt32Array = stitcher.observe(&namespaces, ts, ids)?;
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.push(Arc::new(identifiers));
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::Arrow {
        during: "putting identifiers to events".into(),
        source: Arc::new(error),
    })
}

/// The rows that are not seen, and how many are.
pub(super) fn unseen(batches: &[RecordBatch], is_seen: &[bool]) -> Result<(Vec<RecordBatch>, u64)> {
    let seen = is_seen.iter().filter(|is_seen| **is_seen).count() as u64;
    if seen == 0 {
        return Ok((batches.to_vec(), 0));
    }
    let mut start = 0;
    let mut kept = Vec::with_capacity(batches.len());
    for batch in batches {
        let end = start + batch.num_rows();
        let is_new: Vec<bool> = is_seen[start..end].iter().map(|is_seen| !is_seen).collect();
        let batch = filter_record_batch(batch, &BooleanArray::from(is_new));
        kept.push(batch.map_err(|error| Error::Arrow {
            during: "taking out known events".into(),
            source: Arc::new(error),
        })?);
        start = end;
    }
    Ok((kept, seen))
}

/// The unit that suits what is here already.
fn unit_of_snapshot(snapshot: &Snapshot) -> PartitionUnit {
    let min = snapshot.data_files.values().map(|file| file.ts_min_us).min();
    let max = snapshot.data_files.values().map(|file| file.ts_max_us).max();
    let days =
        min.zip(max).map_or(0, |(min, max)| max.div_euclid(DAY_US) - min.div_euclid(DAY_US) + 1);
    PartitionUnit::for_volume(snapshot.rows(), u64::try_from(days).unwrap_or(u64::MAX))
}

//! From pieces of events to files: ids, duplicates, identifiers, and writing in the background.
//!
//! A piece is small, so that it is stitched while the next one is read, even when the input is small;
//! several make a chunk, so that files are few.

use super::event_ids;
use super::numbering::with_identifiers;
use super::occurrence::OccurrenceCounter;
use super::recent_ids::{IdRows, RecentIds};
use super::seen;
use super::write::{ChunkToWrite, days_with_events};
use super::{DuplicateRow, IngestOptions};
use crate::background::Background;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::event;
use crate::identity::Stitcher;
use crate::log::action::{DataFile, PartitionUnit};
use crate::partition::DAY_US;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

/// No chunk has more rows. Larger ones make fewer files; smaller ones keep all steps busy when an
/// input has only a few million rows.
const CHUNK_ROWS_MAX: usize = 1 << 20;

/// The state of an ingest that pieces go through one after the other.
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
    chunk_bytes_max: usize,
    chunk: Option<Chunk>,
    writing: Option<Writing>,
}

/// Stitched events that wait for more, and the ids of them.
#[derive(Debug)]
struct Chunk {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    ids: RecentIds,
}

impl Chunk {
    fn new(unit: PartitionUnit) -> Self {
        let ids = RecentIds::new(unit, CHUNK_ROWS_MAX);
        Self { batches: Vec::new(), rows: 0, bytes: 0, ids }
    }
}

/// A chunk that is being written, and the ids in it.
#[derive(Debug)]
struct Writing {
    files: Background<Vec<DataFile>>,
    ids: RecentIds,
}

impl Intake {
    /// Begins on the newest snapshot. A chunk has at most so many bytes, and of what is remembered
    /// of rows without ids at most so many stay in memory.
    pub(super) async fn begin(
        store: &Store,
        options: &IngestOptions,
        chunk_bytes_max: usize,
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
            occurrences: OccurrenceCounter::new(chunk_bytes_max),
            on_duplicate_row: options.on_duplicate_row,
            chunk_bytes_max,
            chunk: None,
            writing: None,
        })
    }

    /// Gives a piece of so many bytes ids, takes out what is known, stitches it, and begins to write
    /// the chunk that it completes.
    pub(super) async fn take(&mut self, piece: Vec<RecordBatch>, bytes: usize) -> Result<()> {
        let (batches, dropped) =
            event_ids::fill(piece, &mut self.occurrences, self.on_duplicate_row)?;
        self.duplicates += dropped;
        let unit = self.unit_for(&batches)?;
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => Chunk::new(unit),
        };
        let batches = self.without_known(batches, &mut chunk.ids).await?;
        let batches = self.stitch(batches)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        self.accepted += rows as u64;
        chunk.rows += rows;
        chunk.bytes += bytes;
        chunk.batches.extend(batches);
        let is_full = chunk.rows >= CHUNK_ROWS_MAX || chunk.bytes >= self.chunk_bytes_max;
        self.chunk = (chunk.rows > 0).then_some(chunk);
        if is_full { self.begin_writing(unit).await } else { Ok(()) }
    }

    /// Begins to write the chunk, once the one before is written.
    async fn begin_writing(&mut self, unit: PartitionUnit) -> Result<()> {
        self.finish_writing().await?;
        if let Some(Chunk { batches, ids, .. }) = self.chunk.take() {
            let bucket = self.store.bucket().clone();
            let chunk = ChunkToWrite::new(&bucket, batches, unit)?;
            let files = Background::begin("writing a chunk", chunk.write(bucket, self.threads));
            self.writing = Some(Writing { files, ids });
        }
        Ok(())
    }

    /// Begins to write what waits for more.
    pub(super) async fn write_rest(&mut self) -> Result<()> {
        match self.unit {
            Some(unit) if self.chunk.is_some() => self.begin_writing(unit).await,
            _ => Ok(()),
        }
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

    /// The unit of the partitions of this ingest, chosen by its first piece and by what is here
    /// already: whichever is denser.
    fn unit_for(&mut self, batches: &[RecordBatch]) -> Result<PartitionUnit> {
        if let Some(unit) = self.unit {
            return Ok(unit);
        }
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let by_piece = PartitionUnit::for_volume(rows, days_with_events(batches)?);
        let unit = by_piece.min(unit_of_snapshot(&self.base));
        self.unit = Some(unit);
        Ok(unit)
    }

    /// Takes out the rows whose ids are known: in the history, in this ingest's files, in the
    /// chunk that is being written, or in the one that waits for them, to whose ids it adds theirs.
    async fn without_known(
        &mut self,
        batches: Vec<RecordBatch>,
        in_chunk: &mut RecentIds,
    ) -> Result<Vec<RecordBatch>> {
        let rows = IdRows::of(&batches)?;
        let mut is_seen = vec![false; rows.len()];
        if let Some(writing) = &self.writing {
            writing.ids.mark(&rows, &mut is_seen);
        }
        let files = self.base.data_files.values().chain(&self.files);
        seen::mark_in_files(&self.store, files, &rows, &mut is_seen, self.threads).await?;
        in_chunk.take(rows, &mut is_seen);
        let (batches, dropped) = unseen(&batches, &is_seen)?;
        self.duplicates += dropped;
        Ok(batches)
    }

    fn stitch(&mut self, mut batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        batches.retain(|batch| batch.num_rows() > 0);
        let schema = self.file_schema();
        with_identifiers(&mut self.stitcher, &self.catalog, &schema, &batches, self.threads)
    }
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

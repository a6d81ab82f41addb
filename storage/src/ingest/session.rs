//! One ingest, from its first row to its commit.
//!
//! 1. Rows come in, are brought to events or rejected, and wait in a chunk.
//! 2. A chunk that is large enough gets event ids; rows that are known already leave it.
//! 3. The stitcher gives each row its identifier and collects links.
//! 4. In the background, the chunk is sorted and written as one data file per time partition.
//! 5. At the end, one commit names all files and what is new of identities. If another writer was
//!    faster, see [`rebase`](super::rebase).

use super::conform::Conformer;
use super::event_ids;
use super::occurrence::OccurrenceCounter;
use super::seen::{self, IdRows, RecentIds};
use super::write::{ChunkToWrite, days_with_events};
use super::{IngestOptions, IngestProgress, IngestSummary, RejectedRow};
use crate::catalog::Catalog;
use crate::data_file::encode::column;
use crate::error::{Error, Result};
use crate::event;
use crate::identity::Stitcher;
use crate::log::action::{DataFile, PartitionUnit};
use crate::rejected::RejectedRows;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The memory of an ingest is shared by a chunk that fills, one that is written, and the arrays
/// that sorting and encoding make of it.
const CHUNKS_IN_MEMORY: u64 = 4;
/// No chunk has more rows: rows are addressed with 32 bits, and larger chunks gain nothing.
const CHUNK_ROWS_MAX: usize = 4 << 20;
/// What a row costs while it is ingested, besides its values: keys to sort, table of ids.
const ROW_BYTES_EXTRA: usize = 64;

/// Events on their way in; nothing of them can be seen before [`Ingest::commit`] returns. Dropped
/// before, it leaves only files that nobody names, for garbage collection.
pub struct Ingest {
    pub(super) store: Store,
    pub(super) options: IngestOptions,
    pub(super) base: Arc<Snapshot>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) stitcher: Stitcher,
    pub(super) files: Vec<DataFile>,
    pub(super) unit: Option<PartitionUnit>,
    pub(super) rejects: RejectedRows,
    pub(super) progress: IngestProgress,
    conformer: Conformer,
    occurrences: OccurrenceCounter,
    chunk: Vec<RecordBatch>,
    chunk_bytes: usize,
    chunk_rows: usize,
    writing: Option<Writing>,
}

/// A chunk that is being written, and the ids in it.
struct Writing {
    task: AbortOnDrop,
    ids: RecentIds,
}

/// Stops the work when an ingest is given up.
struct AbortOnDrop(JoinHandle<Result<Vec<DataFile>>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ingest")
            .field("options", &self.options)
            .field("based_on", &self.base.version)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Begins to take events in.
    ///
    /// # Errors
    /// What reading the newest snapshot and its identities says.
    pub async fn begin_ingest(&self, options: IngestOptions) -> Result<Ingest> {
        let base = self.snapshot().await?;
        let catalog = self.catalog(&base).await?;
        let mut stitcher = Stitcher::load(self, &base).await?;
        stitcher.set_source(&options.source);
        let conformer = Conformer::new(&catalog, options.received_at);
        let share = usize::try_from(options.memory_bytes_max / CHUNKS_IN_MEMORY);
        let occurrences = OccurrenceCounter::new(share.unwrap_or(usize::MAX));
        let rejects = RejectedRows::new(&options);
        Ok(Ingest {
            store: self.clone(),
            options,
            base,
            catalog,
            stitcher,
            files: Vec::new(),
            unit: None,
            rejects,
            progress: IngestProgress::default(),
            conformer,
            occurrences,
            chunk: Vec::new(),
            chunk_bytes: 0,
            chunk_rows: 0,
            writing: None,
        })
    }
}

impl Ingest {
    /// Takes in a batch: any subset of the columns of an event by name, of any type that can be
    /// brought to theirs; other columns become members of `properties`. Its first row has the
    /// number `first_row` in the source. Rows that cannot be understood are rejected alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the columns as such are wrong, [`Error::TooManyRejects`], and what
    /// the store says.
    pub async fn append(&mut self, batch: &RecordBatch, first_row: u64) -> Result<()> {
        let conformed = self.conformer.conform(batch, first_row)?;
        let accepted = conformed.events.num_rows();
        self.progress.rows_read += accepted as u64;
        for row in conformed.rejected {
            self.reject(row).await?;
        }
        if accepted == 0 {
            return Ok(());
        }
        let share = self.options.memory_bytes_max / CHUNKS_IN_MEMORY;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        self.chunk_bytes += memory_of(&conformed.events);
        self.chunk_rows += accepted;
        self.chunk.push(conformed.events);
        if self.chunk_bytes >= share || self.chunk_rows >= CHUNK_ROWS_MAX {
            self.close_chunk().await?;
        }
        Ok(())
    }

    /// Takes in a row that the caller could not even bring into a batch.
    ///
    /// # Errors
    /// [`Error::TooManyRejects`], and what the store says.
    pub async fn reject(&mut self, row: RejectedRow) -> Result<()> {
        self.progress.rows_read += 1;
        self.progress.rejected += 1;
        let rejected = self.progress.rejected;
        if let Some(limit) = self.options.max_rejects
            && rejected > limit
        {
            let first_reason = self.rejects.first_reason().unwrap_or(&row.reason).to_owned();
            return Err(Error::TooManyRejects { rejected, limit, first_reason });
        }
        self.rejects.push(&self.store, row).await
    }

    /// How far it is.
    pub fn progress(&self) -> IngestProgress {
        self.progress
    }

    /// Makes all of it one version, durable when this returns.
    ///
    /// # Errors
    /// What the commit says; then nothing of it can be seen, unless the outcome is unknown.
    pub async fn commit(mut self) -> Result<IngestSummary> {
        self.close_chunk().await?;
        self.finish_writing().await?;
        self.commit_files().await
    }

    /// Gives the chunk ids, takes out what is known, stitches it, and begins to write it.
    async fn close_chunk(&mut self) -> Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        (self.chunk_bytes, self.chunk_rows) = (0, 0);
        let mut batches = Vec::with_capacity(chunk.len());
        for batch in chunk {
            let on_duplicate = self.options.on_duplicate_row;
            let (batch, dropped) = event_ids::fill(&batch, &mut self.occurrences, on_duplicate)?;
            self.progress.duplicates += dropped;
            batches.push(batch);
        }
        if batches.is_empty() {
            return Ok(());
        }
        let unit = self.unit_for(&batches)?;
        let (batches, ids) = self.without_known(batches, unit).await?;
        let batches = self.stitch(batches)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok(());
        }
        self.progress.events_accepted += rows as u64;
        self.finish_writing().await?;
        let chunk = ChunkToWrite::new(self.store.bucket(), batches, unit)?;
        let task = tokio::spawn(chunk.write(self.store.bucket().clone()));
        self.writing = Some(Writing { task: AbortOnDrop(task), ids });
        Ok(())
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
        self.progress.duplicates += dropped;
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

    pub(super) fn file_schema(&self) -> SchemaRef {
        event::file_schema(self.catalog.namespaces.iter().map(|namespace| namespace.name.as_str()))
    }

    /// Waits for the chunk that is being written.
    async fn finish_writing(&mut self) -> Result<()> {
        let Some(mut writing) = self.writing.take() else {
            return Ok(());
        };
        let files = (&mut writing.task.0).await;
        let files = files
            .map_err(|error| Error::Internal(format!("writing a chunk stopped: {error}")))??;
        self.progress.bytes_written += files.iter().map(|file| file.object.bytes).sum::<u64>();
        self.files.extend(files);
        Ok(())
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
    let days = min.zip(max).map_or(0, |(min, max)| {
        (max.div_euclid(crate::partition::DAY_US) - min.div_euclid(crate::partition::DAY_US)) + 1
    });
    PartitionUnit::for_volume(snapshot.rows(), u64::try_from(days).unwrap_or(u64::MAX))
}

fn memory_of(batch: &RecordBatch) -> usize {
    // What slices share with the batch that they were cut from does not count twice.
    let values = batch.columns().iter().map(|column| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    values.sum::<usize>() + batch.num_rows() * ROW_BYTES_EXTRA
}

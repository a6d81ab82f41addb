//! One job: the files of a partition become files sorted by customer.
//!
//! 1. The checksum of each input is compared, so that damage does not get a new, valid one.
//! 2. A file that is sorted today is a run as it is; others are sorted in pieces that fit in memory
//!    and kept there or spilled.
//! 3. While there are more runs than can be merged at once, neighbours are merged and spilled.
//! 4. The last merge is written as data files.

use super::CompactionOptions;
use super::memory::{Held, Memory};
use super::merge::{Merge, MergedBatch};
use super::output::Output;
use super::plan::{FileOrder, Job};
use super::runs::{Run, Sorter, Spill, memory_of};
use crate::background::Background;
use crate::data_file::read;
use crate::error::{Error, Result};
use crate::event;
use crate::identity::IdentityMap;
use crate::log::action::DataFile;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// More runs than this are not merged at once, however much memory there is.
const RUNS_MAX: usize = 64;
/// So many merged batches may wait to be encoded.
const BATCHES_WAITING_MAX: usize = 2;
/// Rows of a batch of a run, when memory allows.
const BATCH_ROWS_MAX: usize = 8 * 1024;
const BATCH_ROWS_MIN: usize = 64;
/// A guess of what a row takes in memory beyond twice its size in the file.
const ROW_BYTES_EXTRA: u64 = 256;

/// What the jobs of a compaction share.
pub(super) struct Workshop {
    pub(super) store: Store,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) orders: BTreeMap<String, FileOrder>,
    pub(super) map: Arc<IdentityMap>,
    pub(super) options: CompactionOptions,
    /// What one job may hold.
    pub(super) job_bytes_max: u64,
    pub(super) memory: Memory,
    pub(super) schema: SchemaRef,
}

/// How a job divides its memory.
struct Shares {
    batch_rows: usize,
    runs_max: usize,
    sort_bytes_max: usize,
    kept_bytes_max: usize,
    encoder_bytes_max: usize,
}

impl Workshop {
    /// Begins a job, on a thread of its own as soon as it computes.
    pub(super) fn begin(self: Arc<Self>, job: Job) -> Background<(Job, Vec<DataFile>)> {
        Background::begin("compacting a partition", async move {
            let files = self.run(&job).await?;
            Ok((job, files))
        })
    }

    /// Runs a job and gives the new files; nothing is committed.
    async fn run(&self, job: &Job) -> Result<Vec<DataFile>> {
        let inputs: Vec<&DataFile> = job
            .inputs
            .iter()
            .map(|path| {
                self.snapshot.data_files.get(path).ok_or_else(|| {
                    Error::Internal(format!("a job names {path}, which is not in its snapshot"))
                })
            })
            .collect::<Result<_>>()?;
        let mut shares = self.shares(&inputs);
        let mut runs = Vec::new();
        for file in &inputs {
            read::check(self.store.bucket(), &file.object).await?;
            let more = self.runs_of(file, job, &shares).await?;
            let kept: usize = more.iter().map(Run::kept_bytes).sum();
            shares.kept_bytes_max = shares.kept_bytes_max.saturating_sub(kept);
            runs.extend(more);
        }
        while runs.len() > shares.runs_max {
            runs = self.fewer_runs(runs, job, &shares).await?;
        }
        let merge = self.merge(runs, job, &shares).await?;
        self.write(merge, self.output(job, &inputs, &shares)).await
    }

    /// Writes what a merge gives. Merging and encoding are about the same work, so they go on at the
    /// same time, a few batches apart.
    async fn write(&self, mut merge: Merge, mut output: Output) -> Result<Vec<DataFile>> {
        let (sender, mut merged) = mpsc::channel::<(MergedBatch, Held)>(BATCHES_WAITING_MAX);
        let files = Background::begin("writing a compacted file", async move {
            while let Some((batch, _held)) = merged.recv().await {
                output.write(&batch).await?;
            }
            output.finish().await
        });
        while let Some(batch) = merge.next().await? {
            let held = self.memory.hold(memory_of(&batch.rows));
            if sender.send((batch, held)).await.is_err() {
                // It has failed, and its answer says why.
                break;
            }
        }
        drop(sender);
        files.answer().await
    }

    fn shares(&self, inputs: &[&DataFile]) -> Shares {
        let quarter = (self.job_bytes_max / 4).max(1);
        let bytes: u64 = inputs.iter().map(|file| file.object.bytes).sum();
        let rows: u64 = inputs.iter().map(|file| file.rows).sum();
        let row_bytes = 2 * bytes / rows.max(1) + ROW_BYTES_EXTRA;
        let stored_bytes_max = inputs.iter().map(|file| row_group_bytes(file)).max().unwrap_or(0);
        let runs_by_memory = quarter / (stored_bytes_max + BATCH_ROWS_MIN as u64 * row_bytes);
        let runs_max = usize::try_from(runs_by_memory).unwrap_or(RUNS_MAX).clamp(2, RUNS_MAX);
        // Each run holds a batch, and another while rows of the last one are still wanted.
        let batch_rows = quarter / (2 * runs_max as u64) / row_bytes;
        let batch_rows = usize::try_from(batch_rows).unwrap_or(BATCH_ROWS_MAX);
        let quarter = usize::try_from(quarter).unwrap_or(usize::MAX);
        Shares {
            batch_rows: batch_rows.clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX),
            runs_max,
            sort_bytes_max: quarter,
            // Beside it stand first what is being sorted, then what is merged and encoded.
            kept_bytes_max: quarter / 2 * 3,
            encoder_bytes_max: quarter,
        }
    }

    async fn runs_of(&self, file: &DataFile, job: &Job, shares: &Shares) -> Result<Vec<Run>> {
        let bucket = self.store.bucket();
        let schema = Arc::clone(&self.schema);
        let rows = read::read_columns(bucket, file, schema, shares.batch_rows).await?;
        let reader_bytes = usize::try_from(row_group_bytes(file)).unwrap_or(usize::MAX);
        let run = Run::Stored { rows, reader_bytes, reader: self.memory.hold(0) };
        let order = self.orders.get(&file.object.path);
        let keeps_unit = file.partition_unit <= job.unit && is_nested(file, job);
        if keeps_unit && order.is_some_and(|order| order.is_sorted) {
            return Ok(vec![run]);
        }
        let sorter = Sorter {
            map: &self.map,
            unit: job.unit,
            schema: Arc::clone(&self.schema),
            spill_dir: self.options.spill_dir.as_deref(),
            memory: self.memory.clone(),
            bytes_max: shares.sort_bytes_max,
            kept_bytes_max: shares.kept_bytes_max,
            batch_rows: shares.batch_rows,
        };
        sorter.runs_of(run).await
    }

    /// Merges neighbours, as many at once as memory allows.
    async fn fewer_runs(&self, runs: Vec<Run>, job: &Job, shares: &Shares) -> Result<Vec<Run>> {
        let mut fewer = Vec::new();
        let mut runs = runs.into_iter().peekable();
        while runs.peek().is_some() {
            let neighbours: Vec<Run> = runs.by_ref().take(shares.runs_max).collect();
            let mut merge = self.merge(neighbours, job, shares).await?;
            let mut spill = Spill::new(&self.schema, self.options.spill_dir.as_deref())?;
            while let Some(batch) = merge.next().await? {
                spill.write(&batch.rows)?;
            }
            fewer.push(spill.finish()?);
        }
        Ok(fewer)
    }

    async fn merge(&self, runs: Vec<Run>, job: &Job, shares: &Shares) -> Result<Merge> {
        let map = Arc::clone(&self.map);
        Merge::new(runs, map, job.unit, self.memory.clone(), shares.batch_rows).await
    }

    fn output(&self, job: &Job, inputs: &[&DataFile], shares: &Shares) -> Output {
        let from = inputs.iter().map(|file| file.ingested_from).min();
        let to = inputs.iter().map(|file| file.ingested_to).max();
        Output {
            bucket: self.store.bucket().clone(),
            map: Arc::clone(&self.map),
            identity_version: self.snapshot.identity_version,
            unit: job.unit,
            ingested: (from.unwrap_or(0), to.unwrap_or(0)),
            file_rows_target: self.options.file_rows_target.max(1),
            rows_max: usize::try_from(job.rows).unwrap_or(usize::MAX),
            encoder_bytes_max: shares.encoder_bytes_max,
            memory: self.memory.clone(),
            files: Vec::new(),
            open: None,
        }
    }
}

/// The encoded bytes of one row group of a file, about.
fn row_group_bytes(file: &DataFile) -> u64 {
    let row_groups = file.rows.div_ceil(crate::data_file::ROW_GROUP_ROWS as u64).max(1);
    file.object.bytes / row_groups
}

/// Whether all rows of the file lie in one partition of the job's unit.
fn is_nested(file: &DataFile, job: &Job) -> bool {
    let partition = |ts| crate::partition::Partition::containing(job.unit, ts);
    partition(file.ts_min_us) == partition(file.ts_max_us)
}

/// The columns of a data file under this catalog.
pub(super) fn schema_of(catalog: &crate::catalog::Catalog) -> SchemaRef {
    event::file_schema(catalog.namespaces.iter().map(|namespace| namespace.name.as_str()))
}

//! Merging data files into files sorted by customer, in bounded memory.
//!
//! A file is sorted by customer under the identities of one version; when customers merge later,
//! it may not be any more. [`plan`] decides which files are worth a rewrite, [`job`] rewrites them.

mod job;
mod keys;
mod memory;
mod merge;
mod options;
mod output;
mod plan;
mod runs;

pub use options::{CompactionDepth, CompactionOptions, CompactionProgress, CompactionSummary};

use self::job::Workshop;
use self::memory::Memory;
use self::plan::{FileOrder, Job};
use crate::background::Background;
use crate::data_file::FileIndex;
use crate::error::Result;
use crate::identity::IdentityMap;
use crate::log::action::{Action, DataFile, Operation};
use crate::log::commit::{CommitOutcome, DraftCommit};
use crate::snapshot::Snapshot;
use crate::store::Store;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plan is made anew so often: cutting files up for another unit makes work for a second round,
/// and so do other writers.
const ROUNDS_MAX: u32 = 4;

impl Store {
    /// Merges data files into files sorted by customer, one commit for each partition.
    /// `on_progress` is called after each.
    ///
    /// # Errors
    /// What reading and writing data files says. What was committed until then stays.
    pub async fn compact(
        &self,
        options: CompactionOptions,
        mut on_progress: impl FnMut(CompactionProgress) + Send,
    ) -> Result<CompactionSummary> {
        let memory = Memory::default();
        let mut summary = CompactionSummary::default();
        let mut progress = CompactionProgress::default();
        for _ in 0..ROUNDS_MAX {
            let snapshot = self.snapshot().await?;
            let map = self.identity_map(&snapshot).await?;
            let orders = self.file_orders(&snapshot, &map).await?;
            let jobs = plan::plan(&snapshot, &orders, options.file_rows_target, options.depth);
            if jobs.is_empty() {
                break;
            }
            progress.jobs += jobs.len() as u64;
            progress.rows += jobs.iter().map(|job| job.rows).sum::<u64>();
            let jobs_at_a_time = options.jobs_at_a_time().min(jobs.len());
            let workshop = Arc::new(Workshop {
                store: self.clone(),
                snapshot: Arc::clone(&snapshot),
                orders,
                map,
                options: options.clone(),
                job_bytes_max: options.memory_bytes_max / jobs_at_a_time as u64,
                memory: memory.clone(),
                schema: job::schema_of(&*self.catalog(&snapshot).await?),
            });
            let jobs = futures::stream::iter(jobs).map(|job| Arc::clone(&workshop).begin(job));
            let mut done = jobs.map(Background::answer).buffered(jobs_at_a_time);
            while let Some((job, files)) = done.next().await.transpose()? {
                self.commit_job(&snapshot, &job, files, &mut summary).await?;
                progress.jobs_done += 1;
                progress.rows_done += job.rows;
                on_progress(progress);
            }
        }
        summary.memory_bytes_peak = memory.peak();
        Ok(summary)
    }

    async fn commit_job(
        &self,
        snapshot: &Arc<Snapshot>,
        job: &Job,
        files: Vec<DataFile>,
        summary: &mut CompactionSummary,
    ) -> Result<()> {
        let removed = job.inputs.iter().map(|path| Action::RemoveDataFile { path: path.clone() });
        let added = files.len() as u64;
        let actions = removed.chain(files.into_iter().map(Action::AddDataFile)).collect();
        let draft = DraftCommit {
            based_on: Arc::clone(snapshot),
            operation: Operation::Compact,
            events_added: 0,
            actions,
        };
        match self.commit(draft).await? {
            CommitOutcome::Committed(snapshot) => {
                summary.version = Some(snapshot.version);
                summary.jobs += 1;
                summary.files_removed += job.inputs.len() as u64;
                summary.files_added += added;
                summary.rows += job.rows;
            }
            // Another compaction took one of the files; the next round sees what is left to do.
            CommitOutcome::Conflict { .. } => summary.jobs_lost += 1,
        }
        Ok(())
    }

    async fn file_orders(
        &self,
        snapshot: &Snapshot,
        map: &IdentityMap,
    ) -> Result<BTreeMap<String, FileOrder>> {
        let mut orders = BTreeMap::new();
        for (path, file) in &snapshot.data_files {
            let index = self.file_index(file).await?;
            orders.insert(path.clone(), order_of(&index, map));
        }
        Ok(orders)
    }
}

fn order_of(index: &FileIndex, map: &IdentityMap) -> FileOrder {
    let customers = || index.identifiers().iter().map(|&identifier| map.customer_of(identifier));
    FileOrder {
        is_sorted: index.is_sorted_under(map),
        customers: customers().min().zip(customers().max()),
        has_rows_of_nobody: !index.rows_without_identifier().is_empty(),
    }
}

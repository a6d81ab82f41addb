//! The commit of an ingest, and what happens when another writer was faster.
//!
//! On a conflict the newest snapshot is loaded, and each file of this ingest is read back: rows that
//! the others brought leave it, and the rest is stitched again, because the others may have taken
//! its identifiers' numbers, and written again. The old files stay for garbage collection: after a
//! commit attempt nothing is deleted.

use super::intake::{Intake, unseen};
use super::numbering::with_identifiers;
use super::recent_ids::IdRows;
use super::write::ChunkToWrite;
use super::{IngestSummary, seen};
use crate::data_file::read;
use crate::error::{Error, Result};
use crate::event;
use crate::identity::{IdentityChanges, Stitcher};
use crate::log::action::{Action, DataFile, Operation};
use crate::log::commit::{CommitOutcome, DraftCommit};
use crate::rejected::RejectedRows;
use crate::snapshot::Snapshot;
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use std::sync::Arc;

/// So often an ingest is tried again when others commit in between.
const TRIES: u32 = 1_000;

/// An ingest that has taken everything in.
pub(super) struct Committing {
    pub(super) intake: Box<Intake>,
    pub(super) source: String,
    pub(super) rejects: RejectedRows,
}

impl Committing {
    /// Commits the files, however often others are faster. So many rows were rejected.
    pub(super) async fn commit(mut self, rejected: u64) -> Result<IngestSummary> {
        for _ in 0..TRIES {
            let (actions, changes) = self.draft().await?;
            let mut summary = self.summary(&changes, rejected);
            if actions.is_empty() {
                return Ok(summary);
            }
            let draft = DraftCommit {
                based_on: Arc::clone(&self.intake.base),
                operation: Operation::Ingest,
                events_added: summary.events_accepted,
                actions,
            };
            match self.intake.store.commit(draft).await? {
                CommitOutcome::Committed(snapshot) => {
                    summary.version = Some(snapshot.version);
                    self.intake.stitcher.park(&self.intake.store, &snapshot);
                    return Ok(summary);
                }
                CommitOutcome::Conflict { snapshot, .. } => {
                    self.intake.rebase(snapshot, &self.source).await?;
                }
            }
        }
        let version = self.intake.base.version;
        Err(Error::Conflict { based_on: version, version })
    }

    /// Resolves and writes identities, while the last chunk may still be written.
    async fn draft(&mut self) -> Result<(Vec<Action>, IdentityChanges)> {
        let intake = &mut self.intake;
        let mut actions = Vec::new();
        let mut changes = IdentityChanges::default();
        if intake.has_files() {
            changes = intake.stitcher.resolve()?;
            actions = intake.stitcher.write(&intake.store, &changes).await?;
            intake.finish_writing().await?;
            actions.extend(intake.files.iter().cloned().map(Action::AddDataFile));
        }
        let rejected = self.rejects.write_new(&intake.store, &intake.base).await?;
        actions.extend(rejected.into_iter().map(Action::AddRejected));
        Ok((actions, changes))
    }

    fn summary(&self, changes: &IdentityChanges, rejected: u64) -> IngestSummary {
        let files = &self.intake.files;
        IngestSummary {
            version: None,
            events_accepted: files.iter().map(|file| file.rows).sum(),
            duplicates: self.intake.duplicates,
            rejected,
            identifiers_new: u64::from(changes.identifiers_new),
            customers_new: changes.customers_new,
            data_files: files.len() as u64,
            bytes_written: self.intake.bytes_written(),
        }
    }
}

impl Intake {
    /// Puts this ingest on top of a newer snapshot.
    async fn rebase(&mut self, newest: Arc<Snapshot>, source: &str) -> Result<()> {
        let unknown: Vec<DataFile> = newest
            .data_files
            .iter()
            .filter(|(path, _)| !self.base.data_files.contains_key(*path))
            .map(|(_, file)| file.clone())
            .collect();
        self.base = newest;
        self.catalog = self.store.catalog(&self.base).await?;
        let mut stitcher = Stitcher::load(&self.store, &self.base).await?;
        stitcher.set_source(source);
        let schema = self.file_schema();
        let mut files = Vec::new();
        for file in std::mem::take(&mut self.files) {
            let batches = self.read_back(&file).await?;
            let rows = IdRows::of(&batches)?;
            let mut is_seen = vec![false; rows.len()];
            let others = unknown.iter();
            seen::mark_in_files(&self.store, others, &rows, &mut is_seen, self.threads).await?;
            let (mut batches, dropped) = unseen(&batches, &is_seen)?;
            self.duplicates += dropped;
            self.accepted -= dropped;
            batches.retain(|batch| batch.num_rows() > 0);
            if batches.is_empty() {
                continue;
            }
            let catalog = &self.catalog;
            let batches =
                with_identifiers(&mut stitcher, catalog, &schema, &batches, self.threads)?;
            let bucket = self.store.bucket();
            let chunk = ChunkToWrite::new(bucket, batches, file.partition_unit)?;
            files.extend(chunk.write(bucket.clone(), self.threads).await?);
        }
        self.files = files;
        self.stitcher = stitcher;
        Ok(())
    }

    /// The rows of a file of this ingest, without their identifiers.
    async fn read_back(&self, file: &DataFile) -> Result<Vec<RecordBatch>> {
        const ROWS: usize = 64 * 1024;
        let schema = self.file_schema();
        let others: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .filter(|name| *name != event::IDENTIFIER_ID)
            .collect();
        let schema = read::projected(&schema, &others);
        read::check(self.store.bucket(), &file.object).await?;
        read::read_columns(self.store.bucket(), file, schema, ROWS).await?.try_collect().await
    }
}

//! Taking events in: rows of any shape become sorted data files and one commit.

mod conform;
mod options;

pub use options::{DuplicateRow, IngestOptions, IngestProgress, IngestSummary, RejectedRow};

use crate::error::{Error, Result};
use crate::store::Store;
use arrow::array::RecordBatch;

/// Events on their way in; nothing of them can be seen before [`Ingest::commit`] returns.
#[derive(Debug)]
pub struct Ingest {
    progress: IngestProgress,
}

impl Store {
    /// Begins to take events in.
    ///
    /// # Errors
    /// What reading the newest snapshot says.
    pub async fn begin_ingest(&self, options: IngestOptions) -> Result<Ingest> {
        drop(options);
        Err(Error::Internal("ingest is not built yet".into()))
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
    pub async fn append(&mut self, _batch: &RecordBatch, _first_row: u64) -> Result<()> {
        Err(Error::Internal("ingest is not built yet".into()))
    }

    /// Takes in a row that the caller could not even bring into a batch.
    ///
    /// # Errors
    /// [`Error::TooManyRejects`].
    pub async fn reject(&mut self, _row: RejectedRow) -> Result<()> {
        Err(Error::Internal("ingest is not built yet".into()))
    }

    /// How far it is.
    pub fn progress(&self) -> IngestProgress {
        self.progress
    }

    /// Makes all of it one version, durable when this returns.
    ///
    /// # Errors
    /// What the commit says; then nothing of it can be seen, unless the outcome is unknown.
    pub async fn commit(self) -> Result<IngestSummary> {
        Err(Error::Internal("ingest is not built yet".into()))
    }
}

//! What is to be ingested, and how.

use super::progress::{IngestProgress, OnProgress};
use crate::formats::{Format, Input};
use chrono::{DateTime, Utc};
use habitue_storage::ingest::DuplicateRow;
use std::fmt;

/// One input and how to read it; [`Engine::ingest`](crate::Engine::ingest) makes one commit of it.
///
/// ```
/// use habitue::{Format, IngestRequest, Input};
/// let request = IngestRequest::new(Input::from_argument("visits.txt"))
///     .format(Format::Lines)
///     .select("SELECT split_part(line, ' ', 1) AS ts, 'visit' AS event FROM input")
///     .max_rejects(10);
/// ```
pub struct IngestRequest {
    pub(crate) input: Input,
    pub(crate) source: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) select: Option<String>,
    pub(crate) max_rejects: Option<u64>,
    pub(crate) on_duplicate_row: DuplicateRow,
    pub(crate) received_at: Option<DateTime<Utc>>,
    pub(crate) on_progress: Option<OnProgress>,
}

impl IngestRequest {
    /// Everything of this input, its format found by itself.
    pub fn new(input: impl Into<Input>) -> Self {
        Self {
            input: input.into(),
            source: None,
            format: None,
            select: None,
            max_rejects: None,
            on_duplicate_row: DuplicateRow::default(),
            received_at: None,
            on_progress: None,
        }
    }

    /// The format, instead of finding it out.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// A SELECT over the table `input` whose columns are those of `events`.
    #[must_use]
    pub fn select(mut self, sql: impl Into<String>) -> Self {
        self.select = Some(sql.into());
        self
    }

    /// More rejected rows than this fail the ingest, and nothing is committed.
    #[must_use]
    pub fn max_rejects(mut self, rows: u64) -> Self {
        self.max_rejects = Some(rows);
        self
    }

    /// What becomes of equal rows that have no event id.
    #[must_use]
    pub fn on_duplicate_row(mut self, action: DuplicateRow) -> Self {
        self.on_duplicate_row = action;
        self
    }

    /// What `system.rejected_events` calls the input; its name by default.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>) -> Self {
        self.source = Some(name.into());
        self
    }

    /// When the events count as received; the present time by default.
    #[must_use]
    pub fn received_at(mut self, at: DateTime<Utc>) -> Self {
        self.received_at = Some(at);
        self
    }

    /// Calls this after every batch of rows.
    #[must_use]
    pub fn on_progress(mut self, call: impl FnMut(IngestProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(call));
        self
    }
}

impl fmt::Debug for IngestRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IngestRequest")
            .field("input", &self.input)
            .field("format", &self.format)
            .field("select", &self.select)
            .finish_non_exhaustive()
    }
}

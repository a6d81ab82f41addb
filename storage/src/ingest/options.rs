//! What an ingest is asked and what it answers.

use chrono::{DateTime, Utc};

/// What becomes of rows without an event id that are equal to an earlier row of the same ingest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DuplicateRow {
    /// Each is an event of its own; their occurrence numbers tell them apart.
    #[default]
    Keep,
    /// Only the first is kept, the others count as duplicates.
    Drop,
}

/// How to ingest.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Where the rows come from, for people who read rejected rows. The same rows of the same
    /// source are not rejected twice, so a file should be called the same each time.
    pub source: String,
    /// When the database takes the rows in; rows that bring their own `received_at` keep it.
    pub received_at: DateTime<Utc>,
    /// How much memory the rows of this ingest may take before they are written.
    pub memory_bytes_max: u64,
    /// How many threads may compute at a time for each of its steps.
    pub threads: usize,
    /// More rejected rows than this fail the ingest; `None` is no limit.
    pub max_rejects: Option<u64>,
    /// What becomes of equal rows without an event id.
    pub on_duplicate_row: DuplicateRow,
}

impl IngestOptions {
    /// Half a GiB of memory, as many threads as the machine has, no limit of rejects, equal rows
    /// are kept.
    pub fn new(source: impl Into<String>, received_at: DateTime<Utc>) -> Self {
        Self {
            source: source.into(),
            received_at,
            memory_bytes_max: 512 << 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_rejects: None,
            on_duplicate_row: DuplicateRow::Keep,
        }
    }
}

/// A row that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its number in the source, as the caller counts.
    pub row: u64,
    /// Why.
    pub reason: String,
    /// The row as it came, or as JSON.
    pub raw: String,
}

/// How far an ingest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestProgress {
    /// Rows that came in, good or not.
    pub rows_read: u64,
    /// Rows that are accepted so far; rows still in a buffer are not counted yet.
    pub events_accepted: u64,
    /// Rows that were here already.
    pub duplicates: u64,
    /// Rows that could not be understood.
    pub rejected: u64,
    /// Bytes of data files written so far.
    pub bytes_written: u64,
}

/// What an ingest did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestSummary {
    /// The version that it made; `None` when nothing changed.
    pub version: Option<u64>,
    /// Events that were added.
    pub events_accepted: u64,
    /// Rows that were here already, or came twice.
    pub duplicates: u64,
    /// Rows that could not be understood, also those that an earlier ingest rejected.
    pub rejected: u64,
    /// Identifiers that were never seen before.
    pub identifiers_new: u64,
    /// How many customers more there are; negative when more merged than came.
    pub customers_new: i64,
    /// Data files that were added.
    pub data_files: u64,
    /// Their size.
    pub bytes_written: u64,
}

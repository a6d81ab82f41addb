//! How far an ingest is, for a progress bar.

/// How far an ingest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestProgress {
    /// Bytes of the input that were read, as they lie there (compressed ones before decompression).
    pub bytes_read: u64,
    /// Bytes of the whole input; `None` for pipes.
    pub bytes_total: Option<u64>,
    /// Rows that came in, good or not.
    pub rows_read: u64,
    /// Rows that are accepted so far.
    pub events_accepted: u64,
    /// Rows that were in the database already.
    pub duplicates: u64,
    /// Rows that could not be understood.
    pub rejected: u64,
}

/// Whoever wants to know.
pub(crate) type OnProgress = Box<dyn FnMut(IngestProgress) + Send>;

//! What can go wrong in the store, exact inside, with a kind that tells the caller what to do.

use std::sync::Arc;

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Another writer was faster: read the new snapshot and run again.
    Conflict,
    /// The object store did not answer, or its answer is unknown: wait, run again.
    Unavailable,
    /// The call is wrong: change it.
    InvalidRequest,
    /// Bytes at rest are not what was written: stop writing, run `verify`.
    CorruptData,
    /// A defect of the program: report it.
    Internal,
}

/// One cause per variant, with the path and the cause inside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No database lies at this place.
    #[error("no database here. url={url} (create one with `habitue init`)")]
    NotADatabase {
        /// The place that was opened.
        url: String,
    },
    /// A database lies at this place already.
    #[error("a database is here already. url={url}")]
    AlreadyADatabase {
        /// The place that was to be created.
        url: String,
    },
    /// A URL names no kind of store that this build can open.
    #[error("cannot open this url. url={url}, reason={reason}")]
    InvalidUrl {
        /// What came.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store does not keep the promise that commits stand on.
    #[error("this store cannot hold a database: {reason}. url={url}")]
    UnsafeStore {
        /// The place that was probed.
        url: String,
        /// Which promise it broke.
        reason: String,
    },
    /// The object store failed; the cause says how.
    #[error("cannot {operation} object. path={path}")]
    ObjectStore {
        /// `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The object.
        path: String,
        /// The store's own words.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// An object that the snapshot names is not there.
    #[error("object is missing. path={path}")]
    Missing {
        /// The object.
        path: String,
    },
    /// Bytes at rest fail their length, checksum or syntax.
    #[error("object is damaged. path={path}, reason={reason}")]
    Corrupt {
        /// The object.
        path: String,
        /// Which check failed.
        reason: String,
    },
    /// A file was written by a newer program.
    #[error("object has a newer format. path={path}, format={format}, newest_known={newest_known}")]
    NewerFormat {
        /// The object.
        path: String,
        /// What it says.
        format: u32,
        /// What this build reads.
        newest_known: u32,
    },
    /// Another writer took what this commit stood on, and it cannot be redone by itself.
    #[error("another writer committed first. based_on={based_on}, conflicting_version={version}")]
    Conflict {
        /// The version that the commit was drafted on.
        based_on: u64,
        /// The version that stands against it.
        version: u64,
    },
    /// The commit may or may not have happened, and the store would not say.
    #[error("outcome of commit is unknown. version={version}, attempt={attempt}")]
    UnknownOutcome {
        /// The version that was tried.
        version: u64,
        /// The attempt's UUID.
        attempt: String,
        /// What the store said last.
        #[source]
        source: Box<Error>,
    },
    /// A commit was drafted so long ago that garbage collection may have deleted its new objects.
    #[error(
        "commit was drafted too long ago, its new objects may be gone. based_on={based_on}, path={path}"
    )]
    Stalled {
        /// The version that the commit was drafted on.
        based_on: u64,
        /// The object that is too old.
        path: String,
    },
    /// A version that is not there, or not any more.
    #[error("version is not available. version={version}, oldest={oldest}, newest={newest}")]
    NoSuchVersion {
        /// What was asked for.
        version: u64,
        /// The oldest that is retained.
        oldest: u64,
        /// The head.
        newest: u64,
    },
    /// No version is as old as this time.
    #[error("no version is that old. asked={asked}, oldest={oldest}")]
    NoVersionAsOf {
        /// The time asked for, RFC 3339.
        asked: String,
        /// The time of the oldest retained version, RFC 3339.
        oldest: String,
    },
    /// A batch, a setting or a name is not acceptable.
    #[error("{what} is not acceptable: {reason}")]
    Invalid {
        /// Which argument, column, setting or name.
        what: String,
        /// What came and what is wanted.
        reason: String,
    },
    /// More rows were rejected than the caller allows; nothing was committed.
    #[error(
        "too many rejected rows, nothing was committed. rejected={rejected}, limit={limit}, first_reason={first_reason}"
    )]
    TooManyRejects {
        /// How many until the stop.
        rejected: u64,
        /// The caller's limit.
        limit: u64,
        /// Why the first one was rejected.
        first_reason: String,
    },
    /// A 32-bit number space is used up.
    #[error("no numbers are left for {what}. limit={limit}")]
    Exhausted {
        /// Which numbers.
        what: &'static str,
        /// How many there are.
        limit: u64,
    },
    /// Arrow refused; a defect or damaged data.
    #[error("arrow failed. while={during}")]
    Arrow {
        /// What was being done.
        during: String,
        /// Arrow's own words.
        #[source]
        source: Arc<arrow::error::ArrowError>,
    },
    /// Parquet refused; damaged data or a defect.
    #[error("parquet failed. path={path}")]
    Parquet {
        /// The object.
        path: String,
        /// Parquet's own words.
        #[source]
        source: Arc<parquet::errors::ParquetError>,
    },
    /// A local temporary file failed.
    #[error("temporary file failed. while={during}")]
    Scratch {
        /// What was being done.
        during: String,
        /// The system's own words.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A promise inside the program was broken.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl Error {
    /// What the caller should do.
    ///
    /// ```
    /// use habitue_storage::{Error, ErrorKind};
    /// let error = Error::Missing { path: "events/x.parquet".into() };
    /// assert_eq!(error.kind(), ErrorKind::CorruptData);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } | Self::Stalled { .. } => ErrorKind::Conflict,
            Self::ObjectStore { .. } | Self::UnknownOutcome { .. } | Self::Scratch { .. } => {
                ErrorKind::Unavailable
            }
            Self::NotADatabase { .. }
            | Self::AlreadyADatabase { .. }
            | Self::InvalidUrl { .. }
            | Self::UnsafeStore { .. }
            | Self::NewerFormat { .. }
            | Self::NoSuchVersion { .. }
            | Self::NoVersionAsOf { .. }
            | Self::Invalid { .. }
            | Self::TooManyRejects { .. }
            | Self::Exhausted { .. } => ErrorKind::InvalidRequest,
            Self::Missing { .. } | Self::Corrupt { .. } | Self::Parquet { .. } => {
                ErrorKind::CorruptData
            }
            Self::Arrow { .. } | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// An [`Error::Invalid`], for brevity at the many places that refuse input.
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    /// An [`Error::Corrupt`].
    pub fn corrupt(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.into(), reason: reason.into() }
    }
}

//! What can go wrong at the front door, with a kind that tells the caller what to do.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use std::io;

pub use habitue_storage::ErrorKind;

/// A result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One cause per variant; [`Error::kind`] says what to do.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use habitue::{Engine, ErrorKind};
/// let error = Engine::open("nowhere://x").await.err();
/// assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InvalidRequest));
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused or failed.
    #[error(transparent)]
    Storage(#[from] habitue_storage::Error),
    /// A statement was wrong or failed.
    #[error(transparent)]
    Sql(#[from] habitue_sql::Error),
    /// A users file or a certificate cannot be used.
    #[cfg(any(feature = "flight", feature = "postgres"))]
    #[error(transparent)]
    Access(#[from] habitue_sql::access::AccessError),
    /// A file could not be opened or read.
    #[error("cannot {operation} input. name={name}")]
    Input {
        /// The file.
        name: String,
        /// `open`, `read` or `copy`.
        operation: &'static str,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be as a whole; single rows become rejects instead.
    #[error("cannot read {name}: {reason}")]
    Unreadable {
        /// The file.
        name: String,
        /// What came and what is wanted.
        reason: String,
    },
    /// The SELECT of an ingest is wrong, or failed on a row.
    #[error("the SELECT over input failed")]
    Select {
        /// What DataFusion says.
        #[source]
        source: Box<DataFusionError>,
    },
    /// A setting is not acceptable.
    #[error("{what} is not acceptable: {reason}")]
    Invalid {
        /// Which setting.
        what: &'static str,
        /// What came and what is wanted.
        reason: String,
    },
    /// Arrow refused to build a batch; a defect.
    #[error("internal error, please report it: arrow failed")]
    Arrow(#[from] ArrowError),
    /// A promise inside the program was broken.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Sql(error) => error.kind(),
            #[cfg(any(feature = "flight", feature = "postgres"))]
            Self::Access(_) => ErrorKind::InvalidRequest,
            Self::Input { operation: "copy", .. } => ErrorKind::Unavailable,
            Self::Input { .. }
            | Self::Unreadable { .. }
            | Self::Select { .. }
            | Self::Invalid { .. } => ErrorKind::InvalidRequest,
            Self::Arrow(_) | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn input(
        name: impl Into<String>,
        operation: &'static str,
        source: io::Error,
    ) -> Self {
        Self::Input { name: name.into(), operation, source }
    }

    pub(crate) fn unreadable(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unreadable { name: name.into(), reason: reason.into() }
    }
}

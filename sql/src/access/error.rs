//! Why somebody may not connect, or why nobody may.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why access was not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The name, the password, the token or the certificate is wrong or expired; which of them is
    /// not said.
    #[error("access was refused: the name, password or token is wrong or has expired")]
    Refused,
    /// Too many attempts failed.
    #[error("too many failed attempts; try again in {} s", retry_after.as_secs() + 1)]
    TooManyAttempts {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The client's message is not what its protocol says.
    #[error("the client's authentication message cannot be understood: {0}")]
    Malformed(&'static str),
    /// The server is about to end.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The users file cannot be used.
    #[error("cannot use the users file: {reason}. path={}", path.display())]
    UsersFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The users file is empty.
    #[error(
        "nobody may connect: the users file has neither users nor tokens \
         (add one with `habitue user add`). path={}",
        path.display()
    )]
    NobodyMayConnect {
        /// The file.
        path: PathBuf,
    },
    /// A name, password or expiry is not acceptable.
    #[error("{what} is not acceptable: {reason}")]
    Invalid {
        /// What.
        what: String,
        /// What came and what is wanted.
        reason: String,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use the {what}: {reason}. path={}", path.display())]
    Tls {
        /// `certificate`, `key` or `client CA`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl AccessError {
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::UsersFile { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn tls(what: &'static str, path: &Path, reason: &dyn fmt::Display) -> Self {
        Self::Tls { what, path: path.into(), reason: reason.to_string() }
    }
}

//! Our errors as statuses of gRPC.

use crate::error::{Error, ErrorKind};
use tonic::{Code, Status};

/// A status travels in the headers, which clients limit to eight KiB after escaping.
const MESSAGE_CHARACTERS_MAX: usize = 1500;

/// The status for an error, with its words.
pub(super) fn status_of(error: &Error) -> Status {
    Status::new(code_of(error), shortened(&error.to_string()))
}

fn code_of(error: &Error) -> Code {
    match error {
        Error::Unknown { .. } => return Code::NotFound,
        Error::Exists { .. } => return Code::AlreadyExists,
        Error::OutOfMemory { .. } | Error::TooManyRows { .. } => return Code::ResourceExhausted,
        Error::NoRight { .. } | Error::NotAllowed { .. } => return Code::PermissionDenied,
        Error::TimedOut { .. } => return Code::DeadlineExceeded,
        _ => {}
    }
    match error.kind() {
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::InvalidRequest => Code::InvalidArgument,
        ErrorKind::CorruptData => Code::DataLoss,
        _ => Code::Internal,
    }
}

/// The message, cut where a client would cut the whole answer off.
pub(super) fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// An error of the Arrow library about bytes that a client sent.
pub(super) fn unreadable(what: &str, error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(shortened(&format!("{what} cannot be read: {error}")))
}

/// An error that is ours to explain.
pub(super) fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(shortened(&error.to_string()))
}

//! Errors as Postgres clients know them: a code that programs read, a text for people, and the place
//! in the statement.

use crate::access::AccessError;
use crate::error::{Error, ErrorKind, Named};
use crate::position::{Position, offset_of};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::Location;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};

pub(super) const CANCELLED: &str = "57014";
pub(super) const FEATURE_NOT_SUPPORTED: &str = "0A000";
pub(super) const IN_FAILED_TRANSACTION: &str = "25P02";
pub(super) const INVALID_PARAMETER: &str = "22023";
pub(super) const PROTOCOL_VIOLATION: &str = "08P01";
pub(super) const SHUTTING_DOWN: &str = "57P01";
pub(super) const TOO_MANY_CONNECTIONS: &str = "53300";
pub(super) const UNKNOWN_CURSOR: &str = "34000";
pub(super) const UNKNOWN_STATEMENT: &str = "26000";
const ACCESS_REFUSED: &str = "28P01";
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// A statement fails, the connection lives.
pub(super) fn failed(code: &str, message: impl Into<String>) -> PgWireError {
    info("ERROR", code, message.into())
}

/// The connection ends.
pub(super) fn fatal(code: &str, message: impl Into<String>) -> PgWireError {
    info("FATAL", code, message.into())
}

fn info(severity: &str, code: &str, message: String) -> PgWireError {
    let mut info = ErrorInfo::new(severity.into(), code.into(), message);
    info.severity_nonlocalized = Some(severity.into());
    PgWireError::UserError(Box::new(info))
}

/// The client ended the statement.
pub(super) fn cancelled() -> PgWireError {
    failed(CANCELLED, "the statement was cancelled by its client")
}

/// Access was not given.
pub(super) fn refused(error: &AccessError) -> PgWireError {
    let code = match error {
        AccessError::Malformed(_) => PROTOCOL_VIOLATION,
        AccessError::ShuttingDown => SHUTTING_DOWN,
        _ => ACCESS_REFUSED,
    };
    fatal(code, error.to_string())
}

/// A statement of ours failed; `text` is the text in which its position counts, `before` how many
/// letters the client's text has before it.
pub(super) fn of_statement(error: &Error, text: &str, before: usize) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".into(), code_of(error).into(), error.to_string());
    info.severity_nonlocalized = Some("ERROR".into());
    info.position = error.position().map(|position| {
        let letters = before + letter_of(text, position);
        letters.to_string()
    });
    PgWireError::UserError(Box::new(info))
}

/// The letter, counted from 1, that stands at a position.
fn letter_of(text: &str, position: Position) -> usize {
    let location = Location { line: position.line, column: position.column };
    text[..offset_of(text, location)].chars().count() + 1
}

fn code_of(error: &Error) -> &'static str {
    match error {
        Error::Syntax { .. } => "42601",
        Error::Unknown { named, .. } => match named {
            Named::Table => "42P01",
            Named::Column => "42703",
            Named::Function => "42883",
            Named::Segment | Named::Namespace | Named::Setting => "42704",
        },
        Error::Exists { .. } => "42710",
        Error::SegmentInUse { .. } => "2BP01",
        Error::SegmentCircle { .. } => "42P17",
        Error::InSegment { source, .. } => code_of(source),
        Error::Invalid { .. } => INVALID_PARAMETER,
        Error::NotAllowed { .. } | Error::NoRight { .. } => INSUFFICIENT_PRIVILEGE,
        Error::OutOfMemory { .. } => "53200",
        Error::TimedOut { .. } => CANCELLED,
        Error::TooManyRows { .. } => "54000",
        Error::Query { source, .. } => code_of_query(source.find_root()),
        other => code_of_kind(other.kind()),
    }
}

fn code_of_query(error: &DataFusionError) -> &'static str {
    match error {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => "22012",
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "22P02",
            ArrowError::ArithmeticOverflow(_) => "22003",
            _ => "22000",
        },
        DataFusionError::NotImplemented(_) => FEATURE_NOT_SUPPORTED,
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => "42000",
        DataFusionError::Execution(_) => "22000",
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => "58030",
        _ => "XX000",
    }
}

fn code_of_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Conflict => "40001",
        ErrorKind::Unavailable => "58030",
        ErrorKind::InvalidRequest => INVALID_PARAMETER,
        ErrorKind::CorruptData => "XX001",
        ErrorKind::Internal => "XX000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info_of(error: PgWireError) -> ErrorInfo {
        error.into()
    }

    #[test]
    fn a_slip_has_its_code_and_its_place() {
        let text = "SELECT 'ü',\n  amout FROM events";
        let error = Error::unknown(Named::Column, "amout", ["amount"]).with_position_in(text);
        let info = info_of(of_statement(&error, text, 10));
        assert_eq!(info.code, "42703");
        assert_eq!(info.position.as_deref(), Some("25"));
        assert!(info.message.contains("did you mean 'amount'?"), "{}", info.message);
        assert!(!info.is_fatal());
    }

    #[test]
    fn refused_access_ends_the_connection() {
        let info = info_of(refused(&AccessError::Refused));
        assert_eq!((info.code.as_str(), info.is_fatal()), ("28P01", true));
    }
}

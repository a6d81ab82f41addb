//! What can go wrong with a statement, in words for the person who wrote it.

use crate::position::{Position, position_of_word};
use crate::suggestion::nearest;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
pub use habitue_storage::ErrorKind;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A result of the SQL layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing a name was expected to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A table or a view.
    Table,
    /// A column.
    Column,
    /// A function or a table function.
    Function,
    /// A segment.
    Segment,
    /// An identifier namespace.
    Namespace,
    /// A setting.
    Setting,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Column => "column",
            Self::Function => "function",
            Self::Segment => "segment",
            Self::Namespace => "identifier namespace",
            Self::Setting => "setting",
        })
    }
}

/// One cause per variant; [`Error::kind`] tells the caller what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed or refused.
    #[error(transparent)]
    Storage(#[from] habitue_storage::Error),
    /// The text is not a statement.
    #[error("{message}{}", at(*position))]
    Syntax {
        /// What was expected and what came.
        message: String,
        /// Where.
        position: Option<Position>,
    },
    /// A name names nothing.
    #[error("{named} '{name}' does not exist{}{}", hint(suggestion.as_deref()), at(*position))]
    Unknown {
        /// What it was expected to name.
        named: Named,
        /// The name.
        name: String,
        /// The known name that was probably meant.
        suggestion: Option<String>,
        /// Where it stands.
        position: Option<Position>,
    },
    /// A name is taken.
    #[error("{named} '{name}' exists already (replace it with CREATE OR REPLACE)")]
    Exists {
        /// What it names.
        named: Named,
        /// The name.
        name: String,
    },
    /// A segment is read by others.
    #[error(
        "segment '{name}' is used by {} (drop them first, or DROP SEGMENT {name} CASCADE)",
        quoted(used_by)
    )]
    SegmentInUse {
        /// The segment.
        name: String,
        /// Who reads it.
        used_by: Vec<String>,
    },
    /// Segments would read each other in a circle.
    #[error("segment '{name}' would use itself through {}", quoted(through))]
    SegmentCircle {
        /// The segment.
        name: String,
        /// The way round.
        through: Vec<String>,
    },
    /// A segment cannot be computed.
    #[error("cannot compute segment '{name}': {source}")]
    InSegment {
        /// The segment.
        name: String,
        /// Why.
        source: Box<Error>,
    },
    /// An argument or a value is not acceptable.
    #[error("{what} is not acceptable: {reason}{}", at(*position))]
    Invalid {
        /// Which argument, value or clause.
        what: String,
        /// What came and what is wanted.
        reason: String,
        /// Where.
        position: Option<Position>,
    },
    /// The database was opened without leave for this.
    #[error("{what} is not allowed here: this database was opened without access to local files")]
    NotAllowed {
        /// What was tried.
        what: String,
    },
    /// The session has no right to this.
    #[error("{what} is not allowed: this session has no right to it")]
    NoRight {
        /// What was tried.
        what: &'static str,
    },
    /// The statement ran longer than the session allows.
    #[error("the statement was stopped: it took longer than the limit of {limit:?}")]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The query answers more rows than the session allows.
    #[error("the answer was stopped: it has more rows than the limit of {limit} (add LIMIT)")]
    TooManyRows {
        /// The limit.
        limit: u64,
    },
    /// The memory limit does not suffice.
    #[error("the query needs more memory than the limit allows. {message}")]
    OutOfMemory {
        /// Who wanted how much.
        message: String,
    },
    /// The query engine refused the statement or failed in running it.
    #[error("{message}{}", at(*position))]
    Query {
        /// Its words.
        message: String,
        /// Where.
        position: Option<Position>,
        /// What it said in full.
        #[source]
        source: Arc<DataFusionError>,
    },
}

fn at(position: Option<Position>) -> String {
    position.map_or_else(String::new, |position| format!(" ({position})"))
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::InSegment { source, .. } => source.kind(),
            Self::OutOfMemory { .. } => ErrorKind::Unavailable,
            Self::Query { source, .. } => kind_of_query_error(source),
            _ => ErrorKind::InvalidRequest,
        }
    }

    /// Where in the statement it is, when that is known.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Syntax { position, .. }
            | Self::Unknown { position, .. }
            | Self::Invalid { position, .. }
            | Self::Query { position, .. } => *position,
            _ => None,
        }
    }

    /// A name that names nothing, with the nearest known name.
    pub(crate) fn unknown<'a>(
        named: Named,
        name: impl Into<String>,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let name = name.into();
        let suggestion = nearest(&name, known).map(Into::into);
        Self::Unknown { named, name, suggestion, position: None }
    }

    /// An [`Error::Invalid`].
    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into(), position: None }
    }

    /// The error of the query engine, in our words and with its place in `sql`.
    pub(crate) fn from_datafusion(error: DataFusionError, sql: &str) -> Self {
        match take_own(error) {
            Ok(own) => own.with_position_in(sql),
            Err(error) => translate(error, sql),
        }
    }

    /// The same error with the place of its name in `sql`, if it has none.
    pub(crate) fn with_position_in(mut self, sql: &str) -> Self {
        if let Self::Unknown { name, position, .. } = &mut self {
            *position = position.or_else(|| position_of_word(sql, name));
        }
        self
    }
}

/// The error inside DataFusion's wrappers when it is one of ours.
fn take_own(error: DataFusionError) -> Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => Ok(*own),
            Err(inner) => match inner.downcast::<habitue_storage::Error>() {
                Ok(storage) => Ok(Error::Storage(*storage)),
                Err(inner) => Err(DataFusionError::External(inner)),
            },
        },
        DataFusionError::Context(context, inner) => {
            take_own(*inner).map_err(|inner| inner.context(context))
        }
        DataFusionError::Diagnostic(diagnostic, inner) => {
            take_own(*inner).map_err(|inner| inner.with_diagnostic(*diagnostic))
        }
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(inner) => take_own(inner),
            Err(shared) => Err(DataFusionError::Shared(shared)),
        },
        other => Err(other),
    }
}

fn translate(error: DataFusionError, sql: &str) -> Error {
    if let Some(unknown) = unknown_name(error.find_root()) {
        return unknown.with_position_in(sql);
    }
    let root = error.find_root();
    if let DataFusionError::SQL(parser, _) = root {
        return syntax(parser);
    }
    if let DataFusionError::ResourcesExhausted(message) = root {
        return Error::OutOfMemory { message: message.clone() };
    }
    let position = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| Position { line: span.start.line, column: span.start.column });
    Error::Query { message: words_of(root), position, source: Arc::new(error) }
}

/// The message without the engine's own prefix, which says nothing to a person.
fn words_of(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let prefixes = ["Error during planning: ", "Execution error: ", "Arrow error: "];
    let stripped = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    stripped.unwrap_or(&text).to_owned()
}

fn syntax(error: &ParserError) -> Error {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply",
    };
    let (message, position) = split_position(message);
    Error::Syntax { message: message.to_owned(), position }
}

/// Takes the parser's ` at Line: 1, Column: 8` off its message.
fn split_position(message: &str) -> (&str, Option<Position>) {
    let Some((words, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let Some((line, column)) = place.split_once(", Column: ") else {
        return (message, None);
    };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (words, Some(Position { line, column })),
        _ => (message, None),
    }
}

/// Unknown columns, tables and functions: the engine says so in several ways.
fn unknown_name(error: &DataFusionError) -> Option<Error> {
    match error {
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => Some(Error::unknown(
                Named::Column,
                field.name.clone(),
                valid_fields.iter().map(|column| column.name.as_str()),
            )),
            _ => None,
        },
        DataFusionError::Plan(message) => unknown_in_message(message),
        _ => None,
    }
}

fn unknown_in_message(message: &str) -> Option<Error> {
    let quoted_after = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?;
        rest.split_once('\'').map(|(name, rest)| (name.to_owned(), rest.to_owned()))
    };
    if let Some((name, rest)) = quoted_after("Invalid function '") {
        let suggestion = rest.split('\'').nth(1).map(Into::into);
        let named = Named::Function;
        return Some(Error::Unknown { named, name, suggestion, position: None });
    }
    if let Some((name, rest)) = quoted_after("table function '")
        && rest.starts_with(" not found")
    {
        let named = Named::Function;
        return Some(Error::Unknown { named, name, suggestion: None, position: None });
    }
    let (name, rest) = quoted_after("table '")?;
    rest.starts_with(" not found").then(|| {
        let name = name.rsplit('.').next().unwrap_or(&name).to_owned();
        Error::Unknown { named: Named::Table, name, suggestion: None, position: None }
    })
}

fn kind_of_query_error(error: &DataFusionError) -> ErrorKind {
    match error.find_root() {
        DataFusionError::Internal(_) => ErrorKind::Internal,
        DataFusionError::ParquetError(_) => ErrorKind::CorruptData,
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => ErrorKind::Unavailable,
        _ => ErrorKind::InvalidRequest,
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::from_datafusion(error, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_nearest_segment() {
        let error = Error::unknown(Named::Segment, "vpi", ["vip", "lapsed"]);
        assert_eq!(error.to_string(), "segment 'vpi' does not exist; did you mean 'vip'?");
    }

    #[test]
    fn our_error_survives_the_way_through_the_engine() {
        let inside = DataFusionError::from(Error::unknown(Named::Segment, "x", []));
        let outside = Error::from_datafusion(inside.context("planning"), "SELECT 'x'");
        assert_eq!(outside.to_string(), "segment 'x' does not exist (line 1, column 8)");
        assert_eq!(outside.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn the_parsers_place_becomes_a_position() {
        let (words, position) = split_position("Expected: x, found: y at Line: 2, Column: 7");
        assert_eq!(words, "Expected: x, found: y");
        assert_eq!(position, Some(Position { line: 2, column: 7 }));
    }
}

//! The statements that SQL does not have, one file each; everything else is the engine's.
//!
//! A file holds the grammar, `parse`, the plain statement, and `run`. A text is first offered to
//! each of our parsers; the first that knows its opening words takes it, and what no one takes goes
//! to the engine's parser.

mod alter_identity_namespace;
mod chain;
mod create_identity_namespace;
mod create_segment;
mod drop_segment;
mod effect;
mod engine;
mod explain;
mod insert_events;
mod link;
mod namespace_options;
mod placeholders;
mod rebuild_identities;
mod refresh_segments;
mod shape;
mod show_segments;
mod words;

use crate::error::{Error, Result};
use crate::position::offset_of;
use crate::session::{Answer, AsOf, Session, Settings};
use alter_identity_namespace::AlterIdentityNamespace;
#[cfg(feature = "postgres")]
pub(crate) use chain::ensure_not_too_long;
use create_identity_namespace::CreateIdentityNamespace;
use create_segment::CreateSegment;
use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::tokenizer::Token;
use drop_segment::DropSegment;
pub use effect::Effect;
use explain::Explain;
use insert_events::InsertEvents;
use link::StateLink;
pub(crate) use placeholders::numbered;
use rebuild_identities::RebuildIdentities;
use refresh_segments::RefreshSegments;
pub(crate) use shape::{Answers, Shape, shape};
use words::Words;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    AlterIdentityNamespace(AlterIdentityNamespace),
    CreateIdentityNamespace(CreateIdentityNamespace),
    CreateSegment(CreateSegment),
    DropSegment(DropSegment),
    Explain(Explain),
    InsertEvents(InsertEvents),
    RebuildIdentities(RebuildIdentities),
    RefreshSegments(RefreshSegments),
    ShowSegments,
    StateLink(StateLink),
    /// One of the engine's.
    Engine(Box<EngineStatement>),
}

impl Statement {
    /// The statement when it is the engine's.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_engine(&self) -> Option<&EngineStatement> {
        match self {
            Self::Engine(statement) => Some(statement.as_ref()),
            _ => None,
        }
    }

    /// The statement when it takes in events.
    pub(crate) fn insert_events(&self) -> Option<&InsertEvents> {
        match self {
            Self::InsertEvents(statement) => Some(statement),
            _ => None,
        }
    }
}

/// A statement and the text up to its end, in which its errors find their place.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) statement: Statement,
    pub(crate) text: String,
}

/// All statements of a text.
pub(crate) fn parse(sql: &str) -> Result<Vec<Located>> {
    let located = locate(sql)?;
    Ok(located.into_iter().map(|(statement, _, _)| statement).collect())
}

/// Splits a text into its statements, so that each can be run and reported on by itself.
///
/// # Errors
/// [`Error::Syntax`] when a part of it is no statement.
///
/// ```
/// let texts = habitue_sql::split_statements("SELECT ';' AS a; SELECT 2;")?;
/// assert_eq!(texts, ["SELECT ';' AS a", "SELECT 2"]);
/// # Ok::<(), habitue_sql::Error>(())
/// ```
pub fn split(sql: &str) -> Result<Vec<String>> {
    let located = locate(sql)?;
    let texts = located.into_iter().map(|(_, start, end)| sql[start..end].trim_end().to_owned());
    Ok(texts.collect())
}

/// Each statement with the bytes where it begins and ends.
fn locate(sql: &str) -> Result<Vec<(Located, usize, usize)>> {
    let mut words = Words::new(sql)?;
    let mut found = Vec::new();
    loop {
        while words.parser().consume_token(&Token::SemiColon) {}
        if words.parser().peek_token().token == Token::EOF {
            return Ok(found);
        }
        let start = offset_of(sql, words.parser().peek_token().span.start);
        let statement = parse_one(&mut words)?;
        let next = words.parser().peek_token();
        let end = match next.token {
            Token::EOF => sql.len(),
            Token::SemiColon => offset_of(sql, next.span.start),
            _ => return Err(words.expected("end of statement")),
        };
        let text = blank_before(sql, start, end);
        found.push((Located { statement, text }, start, end));
    }
}

/// The text of a statement at the place where it stands: what comes before it is blank.
fn blank_before(sql: &str, start: usize, end: usize) -> String {
    let before = sql[..start].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' });
    before.collect::<String>() + &sql[start..end]
}

/// One statement of ours, or of the engine's.
fn parse_one(words: &mut Words<'_>) -> Result<Statement> {
    if let Some(statement) = explain::parse(words)? {
        return Ok(Statement::Explain(statement));
    }
    parse_ours(words)?.map_or_else(|| engine::parse(words), Ok)
}

/// One statement of ours, when its opening words say so.
fn parse_ours(words: &mut Words<'_>) -> Result<Option<Statement>> {
    if let Some(statement) = create_segment::parse(words)? {
        return Ok(Some(Statement::CreateSegment(statement)));
    }
    if let Some(statement) = drop_segment::parse(words)? {
        return Ok(Some(Statement::DropSegment(statement)));
    }
    if let Some(statement) = refresh_segments::parse(words)? {
        return Ok(Some(Statement::RefreshSegments(statement)));
    }
    if let Some(statement) = create_identity_namespace::parse(words)? {
        return Ok(Some(Statement::CreateIdentityNamespace(statement)));
    }
    if let Some(statement) = alter_identity_namespace::parse(words)? {
        return Ok(Some(Statement::AlterIdentityNamespace(statement)));
    }
    if let Some(statement) = insert_events::parse(words)? {
        return Ok(Some(Statement::InsertEvents(statement)));
    }
    if let Some(statement) = link::parse(words)? {
        return Ok(Some(Statement::StateLink(statement)));
    }
    if let Some(statement) = rebuild_identities::parse(words) {
        return Ok(Some(Statement::RebuildIdentities(statement)));
    }
    Ok(show_segments::parse(words).then_some(Statement::ShowSegments))
}

/// Runs a statement with values in the places of its parameters.
pub(crate) async fn run(
    session: &Session,
    statement: Located,
    values: Vec<ScalarValue>,
) -> Result<Answer> {
    let text = statement.text;
    let answer = match statement.statement {
        Statement::AlterIdentityNamespace(statement) => statement.run(session).await,
        Statement::CreateIdentityNamespace(statement) => statement.run(session).await,
        Statement::CreateSegment(statement) => statement.run(session).await,
        Statement::DropSegment(statement) => statement.run(session).await,
        Statement::Explain(statement) => statement.run(session).await,
        Statement::InsertEvents(statement) => statement.run(session, values).await,
        Statement::RefreshSegments(statement) => statement.run(session).await,
        Statement::RebuildIdentities(statement) => statement.run(session).await,
        Statement::StateLink(statement) => statement.run(session).await,
        Statement::ShowSegments => show_segments::run(session).await,
        Statement::Engine(statement) => engine::run(session, *statement, values).await,
    };
    answer.map_err(|error| error.with_position_in(&text))
}

/// What is written follows the newest version, so a session that reads an old one cannot write.
pub(crate) fn ensure_newest(session: &Session) -> Result<()> {
    let as_of = Settings::of(session.context().state_ref().read().config_options()).as_of;
    match as_of {
        AsOf::Newest => Ok(()),
        AsOf::Version(_) | AsOf::Timestamp(_) => Err(Error::invalid(
            "a change",
            "this session reads an earlier version, \
             SET habitue.as_of_version = newest comes first",
        )),
    }
}

#[cfg(test)]
mod tests;

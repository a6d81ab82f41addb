//! A text of a client, understood.

use crate::error::Error;
use crate::postgres::command::{self, Command};
use crate::postgres::dialect::Dialect;
use crate::postgres::failure::{FEATURE_NOT_SUPPORTED, failed, of_statement};
use crate::postgres::nothing;
use crate::session::{Prepared, Session, message_schema};
use crate::statements::Effect;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};

/// What a text is.
#[derive(Clone)]
pub(super) enum Understood {
    /// For the server itself.
    Command(Command),
    /// For the session.
    Statement(Box<Statement>),
}

/// A statement of the session.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) prepared: Prepared,
    source: Source,
}

/// What errors of a statement point into.
#[derive(Clone)]
struct Source {
    text: String,
    /// How many letters of the client's text come before it.
    before: usize,
    /// The text is not the client's own.
    rewritten: bool,
}

impl Source {
    fn error(&self, error: &Error) -> PgWireError {
        match (self.rewritten, of_statement(error, &self.text, self.before)) {
            (true, PgWireError::UserError(mut info)) => {
                info.position = None;
                PgWireError::UserError(info)
            }
            (_, error) => error,
        }
    }
}

impl Statement {
    /// Whether its answer has columns.
    pub(super) fn has_columns(&self) -> bool {
        self.prepared.answers_rows() || *self.prepared.schema() != message_schema()
    }

    /// An error of it, as its client reads it.
    pub(super) fn error(&self, error: &Error) -> PgWireError {
        self.source.error(error)
    }

    /// The word that says what it did.
    pub(super) fn tag(&self) -> String {
        if self.prepared.effect() == Effect::InsertEvents {
            return "INSERT".into();
        }
        let text = self.source.text.to_uppercase();
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let nouns = ["SEGMENT", "SEGMENTS", "NAMESPACE", "TABLE", "VIEW", "SCHEMA", "FUNCTION"];
        match words.find(|word| nouns.contains(word)) {
            Some("NAMESPACE") => format!("{first} IDENTITY NAMESPACE"),
            Some(noun) => format!("{first} {noun}"),
            None => first.to_owned(),
        }
    }
}

/// Finds out what a text is; nothing is run. `before` letters of the client's text come before it.
pub(super) async fn understand(
    session: &Session,
    dialect: &Dialect,
    text: &str,
    before: usize,
) -> PgWireResult<Understood> {
    match command::parse(text) {
        Some(Command::Unsupported(what)) => {
            return Err(failed(FEATURE_NOT_SUPPORTED, format!("{what} is not supported here")));
        }
        Some(command) => return Ok(Understood::Command(command)),
        None => {}
    }
    let rewritten = dialect.about_catalog(text);
    if !rewritten.is_empty() {
        return about_catalog(session, text, before, rewritten).await;
    }
    let source = Source { text: text.to_owned(), before, rewritten: false };
    let refused = match session.prepare(text).await {
        Ok(prepared) => return Ok(understood(prepared, source)),
        Err(error) => error,
    };
    // Something that only Postgres writes so; if it is no better understood, the first word counts.
    if matches!(refused, Error::Syntax { .. })
        && let Some(rewritten) = dialect.rewritten(text)
        && let Ok(prepared) = session.prepare(&rewritten).await
    {
        return Ok(understood(prepared, Source { text: rewritten, before, rewritten: true }));
    }
    Err(source.error(&refused))
}

/// A question about Postgres's catalog: as rewritten, as it came, or with an empty answer where
/// there can be no other. If none is understood, the first refusal counts.
async fn about_catalog(
    session: &Session,
    text: &str,
    before: usize,
    rewritten: Vec<String>,
) -> PgWireResult<Understood> {
    let others = [Some(text.to_owned()), nothing::empty_answer(text)];
    let mut refused = None;
    for text in rewritten.into_iter().chain(others.into_iter().flatten()) {
        let source = Source { text, before, rewritten: true };
        match prepared_to_the_end(session, &source.text).await {
            Ok(prepared) => return Ok(understood(prepared, source)),
            Err(error) => refused = refused.or_else(|| Some(source.error(&error))),
        }
    }
    Err(refused.unwrap_or_else(|| failed(FEATURE_NOT_SUPPORTED, "this is not understood")))
}

/// Some questions are refused only when their plan is made physical.
async fn prepared_to_the_end(session: &Session, text: &str) -> Result<Prepared, Error> {
    let prepared = session.prepare(text).await?;
    prepared.plan_to_the_end().await?;
    Ok(prepared)
}

fn understood(prepared: Prepared, source: Source) -> Understood {
    Understood::Statement(Box::new(Statement { prepared, source }))
}

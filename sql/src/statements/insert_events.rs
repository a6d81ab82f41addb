//! `INSERT INTO events`: takes in the rows of a query as an ingest does, in one commit.
//!
//! Columns are found by their names, so the query names them: `SELECT … AS ts, … AS event`. Columns
//! that events do not have go into `properties`.

use crate::error::{Error, Result};
use crate::events;
use crate::session::{Answer, Session};
use crate::statements::ensure_newest;
use crate::statements::words::Words;
use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::tokenizer::Token;

/// A parsed statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InsertEvents {
    /// The names for the query's columns; `None` is the names that they have.
    pub(super) columns: Option<Vec<String>>,
    pub(super) sql: String,
}

/// ```text
/// INSERT INTO events [(column, …)] query
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<InsertEvents>> {
    if !words.come(&["INSERT", "INTO"]) || !names_events(words) {
        return Ok(None);
    }
    let columns = match words.parser().peek_token().token {
        Token::LParen if !query_in_parentheses(words) => Some(column_names(words)?),
        _ => None,
    };
    let sql = words.query_text()?;
    Ok(Some(InsertEvents { columns, sql }))
}

/// Takes the opening words if the table is ours, with or without its schema.
fn names_events(words: &mut Words<'_>) -> bool {
    let ours: [&[&str]; 3] = [&["events"], &["main", "events"], &["habitue", "main", "events"]];
    let tokens = |path: &[&str]| 2 + 2 * path.len() - 1;
    let named = ours.into_iter().find(|path| {
        let is_next = |place: usize, name: &str| words.comes_at(2 + 2 * place, name);
        let names = path.iter().enumerate().all(|(place, name)| is_next(place, name));
        names && words.parser().peek_nth_token(tokens(path)).token != Token::Period
    });
    let taken = named.map_or(0, tokens);
    for _ in 0..taken {
        words.parser().next_token();
    }
    taken > 0
}

fn query_in_parentheses(words: &mut Words<'_>) -> bool {
    matches!(&words.parser().peek_nth_token(1).token, Token::Word(word)
        if ["SELECT", "WITH", "VALUES"].iter().any(|start| word.value.eq_ignore_ascii_case(start)))
}

fn column_names(words: &mut Words<'_>) -> Result<Vec<String>> {
    words.sign(&Token::LParen)?;
    let mut columns = vec![words.name("a column of events")?];
    while words.parser().consume_token(&Token::Comma) {
        columns.push(words.name("a column of events")?);
    }
    words.sign(&Token::RParen)?;
    Ok(columns)
}

impl InsertEvents {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        ensure_newest(session)?;
        let parsed = DFParser::parse_sql(&self.sql);
        let mut statements = parsed.map_err(|error| Error::from_datafusion(error, &self.sql))?;
        let Some(statement) = statements.pop_front() else {
            return Err(Error::invalid("INSERT INTO events", "a query is wanted"));
        };
        let query = session.query().await?;
        let plan = query.plan(statement).await?;
        let answer = query.answer(plan).await?;
        let summary = events::insert(session.database().store(), self.columns, answer).await?;
        let mut message = format!("{} events", summary.events_accepted);
        for (count, what) in [(summary.duplicates, "duplicates"), (summary.rejected, "rejected")] {
            if count > 0 {
                message.push_str(&format!(", {count} {what}"));
            }
        }
        match summary.version {
            Some(version) => message.push_str(&format!(", version {version}")),
            None => message.push_str(", nothing changed"),
        }
        Answer::of_message(message)
    }

    /// The text of its query.
    pub(super) fn query_sql(&self) -> &str {
        &self.sql
    }
}

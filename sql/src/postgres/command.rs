//! Commands to the server itself, which clients send of their own accord: transactions, settings of
//! Postgres, prepared statements by name.

use crate::postgres::settings::ClientSettings;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Begin,
    Commit,
    Rollback,
    Savepoint,
    Release,
    /// `ROLLBACK TO` a savepoint.
    RollbackTo,
    /// `SET name = value`, of Postgres's names.
    Set {
        name: String,
        value: String,
    },
    /// `RESET name`; without a name all of them.
    Reset(Option<String>),
    /// `SHOW name`; without a name all of them.
    Show(Option<String>),
    /// `DISCARD`: what the session made for itself goes.
    Discard,
    /// `DEALLOCATE name`; without a name all of them.
    Deallocate(Option<String>),
    /// Something that Postgres has and Habitué has not.
    Unsupported(&'static str),
}

/// What stands in a command.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A word, and how it was written.
    Word(String),
    /// A text, a number, or anything else.
    Other(String),
}

impl Part {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Other(text) => text,
        }
    }

    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

/// The command in a text, if it is one.
pub(super) fn parse(text: &str) -> Option<Command> {
    let parts = parts(text).filter(|parts| matches!(parts.first(), Some(Part::Word(_))))?;
    let words: Vec<String> = parts.iter().map(|part| part.text().to_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["begin", ..] | ["start", "transaction", ..] => Some(Command::Begin),
        ["commit" | "end", ..] => Some(Command::Commit),
        ["savepoint", _] => Some(Command::Savepoint),
        ["release", ..] => Some(Command::Release),
        ["rollback", "to", ..] | ["rollback", "work" | "transaction", "to", ..] => {
            Some(Command::RollbackTo)
        }
        ["rollback" | "abort", ..] => Some(Command::Rollback),
        ["discard", _] => Some(Command::Discard),
        ["deallocate", rest @ ..] => Some(Command::Deallocate(deallocated(rest, &parts))),
        ["reset", "all"] => Some(Command::Reset(None)),
        ["reset", name] => known(name).map(|name| Command::Reset(Some(name))),
        ["show", rest @ ..] => show(rest),
        ["set", ..] => set(&parts[1..]),
        ["copy", ..] => Some(Command::Unsupported("COPY")),
        ["declare", ..] => Some(Command::Unsupported("DECLARE CURSOR")),
        ["fetch" | "move", ..] => Some(Command::Unsupported("FETCH")),
        ["listen" | "unlisten" | "notify", ..] => Some(Command::Unsupported("LISTEN and NOTIFY")),
        ["lock", ..] => Some(Command::Unsupported("LOCK")),
        ["call" | "do", ..] => Some(Command::Unsupported("procedures")),
        _ => None,
    }
}

/// The words and signs of a text; absent when the text is too long for a command.
fn parts(text: &str) -> Option<Vec<Part>> {
    /// A longer text is no command but a query: it is not worth reading twice.
    const BYTES_MAX: usize = 2_000;
    let begin = &text[..text.floor_char_boundary(BYTES_MAX)];
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, begin).tokenize().ok()?;
    let parts = tokens.into_iter().filter_map(|token| match token {
        Token::Whitespace(_) => None,
        Token::Word(word) => Some(Part::Word(word.value)),
        Token::SingleQuotedString(text) => Some(Part::Other(text)),
        other => Some(Part::Other(other.to_string())),
    });
    Some(parts.collect())
}

fn known(name: &str) -> Option<String> {
    ClientSettings::is_known(name).then(|| name.to_owned())
}

fn deallocated(rest: &[&str], parts: &[Part]) -> Option<String> {
    match rest {
        ["all"] | ["prepare", "all"] => None,
        _ => parts.last().map(|part| part.text().to_owned()),
    }
}

fn show(rest: &[&str]) -> Option<Command> {
    match rest {
        ["all"] => Some(Command::Show(None)),
        ["transaction", "isolation", "level"] => {
            Some(Command::Show(Some("transaction_isolation".into())))
        }
        ["time", "zone"] => Some(Command::Show(Some("timezone".into()))),
        [name] => known(name).map(|name| Command::Show(Some(name))),
        _ => None,
    }
}

/// `SET [SESSION | LOCAL] name {TO | =} value`, and its special forms.
fn set(parts: &[Part]) -> Option<Command> {
    let scoped = parts.first().is_some_and(|part| part.is("session") || part.is("local"));
    let characteristics = scoped && parts.get(1).is_some_and(|part| part.is("characteristics"));
    if characteristics || parts.first().is_some_and(|part| part.is("transaction")) {
        // Isolation and the like: a statement sees one snapshot, whatever is asked for.
        return Some(Command::Set { name: "transaction_isolation".into(), value: String::new() });
    }
    let parts = if scoped { &parts[1..] } else { parts };
    let of = |name: &str, values: &[Part]| {
        let values: Vec<&str> = values.iter().map(Part::text).collect();
        let value = values.join(" ").replace(" , ", ", ");
        Some(Command::Set { name: name.to_owned(), value })
    };
    match parts {
        [time, zone, values @ ..] if time.is("time") && zone.is("zone") => of("timezone", values),
        [names, values @ ..] if names.is("names") => of("client_encoding", values),
        [session, authorization, ..]
            if session.is("session") && authorization.is("authorization") =>
        {
            Some(Command::Unsupported("SET SESSION AUTHORIZATION"))
        }
        [role, ..] if role.is("role") => Some(Command::Unsupported("SET ROLE")),
        [name, sign, values @ ..] if sign.is("to") || sign.text() == "=" => {
            of(&known(name.text())?, values)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_to(name: &str, value: &str) -> Option<Command> {
        Some(Command::Set { name: name.into(), value: value.into() })
    }

    #[test]
    fn transactions_in_all_their_spellings() {
        for (text, expected) in [
            ("BEGIN", Command::Begin),
            ("begin isolation level read committed", Command::Begin),
            ("START TRANSACTION READ ONLY", Command::Begin),
            ("END", Command::Commit),
            ("ABORT", Command::Rollback),
            ("ROLLBACK TO SAVEPOINT a", Command::RollbackTo),
            ("rollback work", Command::Rollback),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn settings_of_postgres_are_commands_and_ours_are_not() {
        assert_eq!(parse("SET application_name = 'psql'"), set_to("application_name", "psql"));
        assert_eq!(parse("set local DateStyle to ISO, MDY"), set_to("DateStyle", "ISO, MDY"));
        assert_eq!(parse("SET TIME ZONE 'UTC'"), set_to("timezone", "UTC"));
        assert_eq!(parse("SET habitue.as_of_version = 3"), None);
        assert_eq!(parse("SET datafusion.execution.batch_size = 3"), None);
        assert_eq!(parse("RESET habitue.as_of_version"), None);
        assert_eq!(parse("SHOW SEGMENTS"), None);
        assert_eq!(parse("SHOW timezone"), Some(Command::Show(Some("timezone".into()))));
    }

    #[test]
    fn a_query_is_no_command() {
        for text in ["SELECT 1", "CREATE SEGMENT a AS SELECT 1", "begin_x", "'begin'", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

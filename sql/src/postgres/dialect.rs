//! Questions in Postgres's own dialect, brought to ours.
//!
//! Clients ask Postgres's catalog in ways that the engine does not know: casts to `regclass`,
//! functions with a schema before them, `COLLATE`. What people and tools ask about events stays as
//! it was written.

use crate::postgres::repair;
use crate::statements::ensure_not_too_long;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;

/// Operators in a row that rewriting takes: it goes down into each of them.
const OPERATORS_MAX: usize = 200;
/// Words that only Postgres's catalog has.
const CATALOG_WORDS: [&str; 8] = [
    "collate",
    "current_catalog",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_user",
    "regclass",
    "session_user",
];

/// Rewrites questions.
pub(super) struct Dialect {
    parser: PostgresCompatibilityParser,
}

impl Dialect {
    pub(super) fn new() -> Self {
        Self { parser: PostgresCompatibilityParser::new() }
    }

    /// The question in our dialect, if it is one about Postgres's catalog: as it is, and repaired.
    /// Some questions are known as they are and would not be known again after a repair.
    pub(super) fn about_catalog(&self, sql: &str) -> Vec<String> {
        if !asks_catalog(sql) {
            return Vec::new();
        }
        let sql = repair::with_backslash_escapes(sql);
        let mut found: Vec<String> = self.rewritten(&sql).into_iter().collect();
        if !found.is_empty() {
            found.extend(self.rewritten(&repair::repaired(&sql)));
        }
        found.dedup();
        found
    }

    /// The statement in our dialect, if it is one of Postgres's at all.
    pub(super) fn rewritten(&self, sql: &str) -> Option<String> {
        // What is too deep to be rewritten is refused by our own parser, or needs no rewriting.
        ensure_not_too_long(sql).ok()?;
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().ok()?;
        let operators = tokens.iter().filter(|token| is_operator(token)).count();
        if operators > OPERATORS_MAX {
            return None;
        }
        match self.parser.parse(sql).ok()?.as_slice() {
            [statement] => Some(statement.to_string()),
            _ => None,
        }
    }
}

fn asks_catalog(sql: &str) -> bool {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return false };
    tokens.iter().enumerate().any(|(place, token)| match token {
        Token::Word(word) => {
            let word = word.value.to_lowercase();
            // Segments have versions, too: only the function is Postgres's.
            let called = matches!(tokens.get(place + 1), Some(Token::LParen));
            word.starts_with("pg_")
                || CATALOG_WORDS.contains(&word.as_str())
                || (word == "version" && called)
        }
        _ => false,
    })
}

fn is_operator(token: &Token) -> bool {
    use datafusion::sql::sqlparser::keywords::Keyword;
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::UNION | Keyword::INTERSECT
        ),
        Token::Plus | Token::Minus | Token::Div | Token::Mod | Token::StringConcat => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_about_events_stay_as_they_are() {
        let dialect = Dialect::new();
        assert!(dialect.about_catalog("SELECT count(*) FROM events").is_empty());
        assert!(dialect.about_catalog("CREATE SEGMENT pg_a AS SELECT 1").is_empty());
    }

    #[test]
    fn questions_about_the_catalog_are_rewritten() {
        let dialect = Dialect::new();
        let asked = "SELECT pg_catalog.version()";
        let rewritten = dialect.about_catalog(asked).remove(0);
        assert!(!rewritten.contains("pg_catalog."), "{rewritten}");
        let asked = "SELECT * FROM pg_class WHERE relname COLLATE pg_catalog.default = 'a'";
        let rewritten = dialect.about_catalog(asked).remove(0);
        assert!(rewritten.contains("pg_catalog.pg_class"), "{rewritten}");
        assert!(!rewritten.contains("COLLATE"), "{rewritten}");
    }

    // If this fails, one long text ends the server.
    #[test]
    fn long_chains_are_not_rewritten() {
        let dialect = Dialect::new();
        let chain = vec!["pg_a = 1"; 900].join(" OR ");
        assert!(dialect.about_catalog(&format!("SELECT * FROM t WHERE {chain}")).is_empty());
        let deep = format!("SELECT {}pg_a{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(dialect.about_catalog(&deep).is_empty());
    }
}

//! Questions in Postgres's own dialect, brought to ours.
//!
//! Clients ask Postgres's catalog in ways that the engine does not know: casts to `regclass`,
//! functions with a schema before them, `COLLATE`. What people and tools ask about events stays as
//! it was written.

use crate::postgres::subqueries::{self, Columns};
use crate::postgres::{information, procedures, unnamed};
use crate::statements::ensure_not_too_long;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::datafusion_pg_catalog::sql::rules::{
    AliasDuplicatedProjectionRewrite, CurrentUserVariableToSessionUserFunctionCall,
    FixArrayLiteral, FixVersionColumnName, PrependUnqualifiedPgTableName,
    ResolveUnqualifiedIdentifier, RewriteArrayAnyAllOperation, RewritePgCatalogOperator,
    RewriteRegCastToSubquery, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};

/// Operators in a row that rewriting takes: it goes down into each of them.
const OPERATORS_MAX: usize = 200;
/// Words that only Postgres's catalog has.
const CATALOG_WORDS: [&str; 9] = [
    "collate",
    "current_catalog",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_user",
    "information_schema",
    "regclass",
    "session_user",
];

/// Rewrites questions.
pub(super) struct Dialect {
    /// What is known of whole questions of some clients.
    parser: PostgresCompatibilityParser,
    /// The rules of that parser, but for the one that leaves subqueries out.
    rules: Vec<Box<dyn SqlStatementRewriteRule>>,
}

impl Dialect {
    pub(super) fn new() -> Self {
        let rules: Vec<Box<dyn SqlStatementRewriteRule>> = vec![
            Box::new(AliasDuplicatedProjectionRewrite),
            Box::new(ResolveUnqualifiedIdentifier),
            Box::new(RewriteArrayAnyAllOperation),
            Box::new(PrependUnqualifiedPgTableName),
            Box::new(StripCallableQualifier),
            Box::new(FixArrayLiteral),
            Box::new(CurrentUserVariableToSessionUserFunctionCall),
            Box::new(StripCollate),
            Box::new(RewritePgCatalogOperator),
            Box::new(RewriteRegCastToSubquery::new()),
            Box::new(FixVersionColumnName),
        ];
        Self { parser: PostgresCompatibilityParser::new(), rules }
    }

    /// The question in our dialect, if it is one about Postgres's catalog: in the ways in which it
    /// can be put, the most exact first.
    pub(super) fn about_catalog(&self, sql: &str) -> Vec<String> {
        let Some(tokens) = tokens(sql).filter(|tokens| asks_catalog(tokens)) else {
            return Vec::new();
        };
        if !is_shallow(sql, &tokens) {
            return Vec::new();
        }
        let mut found = Vec::new();
        if let Some(statement) = self.ruled(sql) {
            found.push(with_subqueries(&statement, Columns::Computed));
            found.extend(self.known(sql).as_ref().map(ToString::to_string));
            found.push(with_subqueries(&statement, Columns::Null));
        }
        found.dedup();
        found
    }

    /// The statement in our dialect, if it is one of Postgres's at all.
    pub(super) fn rewritten(&self, sql: &str) -> Option<String> {
        // What is too deep to be rewritten is refused by our own parser, or needs no rewriting.
        let tokens = tokens(sql).filter(|tokens| is_shallow(sql, tokens));
        tokens.and_then(|_| self.known(sql)).map(|statement| statement.to_string())
    }

    fn known(&self, sql: &str) -> Option<Statement> {
        only(self.parser.parse(sql).ok()?)
    }

    fn ruled(&self, sql: &str) -> Option<Statement> {
        let mut statement = only(Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?)?;
        information::rewrite(&mut statement);
        procedures::rewrite(&mut statement);
        unnamed::rewrite(&mut statement);
        Some(self.rules.iter().fold(statement, |statement, rule| rule.rewrite(statement)))
    }
}

fn with_subqueries(statement: &Statement, columns: Columns) -> String {
    let mut statement = statement.clone();
    subqueries::rewrite(&mut statement, columns);
    statement.to_string()
}

fn only(mut statements: Vec<Statement>) -> Option<Statement> {
    let statement = statements.pop();
    statement.filter(|_| statements.is_empty())
}

/// Whether a text may be rewritten, which goes down into each of its operators.
fn is_shallow(sql: &str, tokens: &[Token]) -> bool {
    ensure_not_too_long(sql).is_ok()
        && tokens.iter().filter(|token| is_operator(token)).count() <= OPERATORS_MAX
}

fn tokens(sql: &str) -> Option<Vec<Token>> {
    Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().ok()
}

fn asks_catalog(tokens: &[Token]) -> bool {
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

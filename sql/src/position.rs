//! Where in a SQL text something stands.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use std::fmt;

/// A place in a SQL text, counted from 1 as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        Self { line: location.line, column: location.column }
    }
}

/// The first place where `word` stands as a word or as a quoted text.
pub(crate) fn position_of_word(sql: &str, word: &str) -> Option<Position> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let found = tokens.into_iter().find(|token| match &token.token {
        Token::Word(found) => found.value.eq_ignore_ascii_case(word),
        Token::SingleQuotedString(found) => found == word,
        _ => false,
    })?;
    Some(found.span.start.into())
}

/// The byte at which `location` stands; the length of the text when it lies behind its end.
pub(crate) fn offset_of(sql: &str, location: Location) -> usize {
    let mut line_start = 0;
    for _ in 1..location.line {
        match sql[line_start..].find('\n') {
            Some(end) => line_start += end + 1,
            None => return sql.len(),
        }
    }
    let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
    sql[line_start..]
        .char_indices()
        .nth(column)
        .map_or(sql.len(), |(offset, _)| line_start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_on_its_line() {
        let found = position_of_word("SELECT a,\n  amout FROM t", "amout").unwrap();
        assert_eq!((found.line, found.column), (2, 3));
    }

    #[test]
    fn part_of_a_word_is_not_the_word() {
        assert_eq!(position_of_word("SELECT amounts", "amount"), None);
    }

    #[test]
    fn offsets_count_characters_not_bytes() {
        let sql = "SELECT 'ü',\nx";
        assert_eq!(offset_of(sql, Location { line: 2, column: 1 }), sql.len() - 1);
        assert_eq!(&sql[offset_of(sql, Location { line: 1, column: 11 })..], ",\nx");
    }
}

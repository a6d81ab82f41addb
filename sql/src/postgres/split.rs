//! A text of several statements, cut at its semicolons.

use crate::position::offset_of;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// One statement of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// How many letters of the whole text come before it.
    pub(super) before: usize,
}

/// The statements of a text. What cannot be read as tokens is one piece: the parser says why.
pub(super) fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location() else {
        return vec![Piece { text: sql, before: 0 }];
    };
    let mut pieces = Vec::new();
    let mut start = None;
    for token in &tokens {
        match &token.token {
            Token::SemiColon => {
                if let Some(start) = start.take() {
                    pieces.push(piece(sql, start, offset_of(sql, token.span.start)));
                }
            }
            Token::Whitespace(
                Whitespace::Space
                | Whitespace::Newline
                | Whitespace::Tab
                | Whitespace::SingleLineComment { .. }
                | Whitespace::MultiLineComment(_),
            )
            | Token::EOF => {}
            _ => start = start.or_else(|| Some(offset_of(sql, token.span.start))),
        }
    }
    if let Some(start) = start {
        pieces.push(piece(sql, start, sql.len()));
    }
    pieces
}

fn piece(sql: &str, start: usize, end: usize) -> Piece<'_> {
    Piece { text: sql[start..end].trim_end(), before: sql[..start].chars().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_semicolons() {
        let sql = ";SELECT 'ü;'; -- ; no\n SHOW x ;\n";
        let found = pieces(sql);
        let texts: Vec<&str> = found.iter().map(|piece| piece.text).collect();
        assert_eq!(texts, ["SELECT 'ü;'", "SHOW x"]);
        assert_eq!((found[0].before, found[1].before), (1, 23));
    }

    #[test]
    fn comments_alone_are_no_statement() {
        assert!(pieces("-- nothing\n; /* here */ ;").is_empty());
    }

    #[test]
    fn a_broken_text_is_left_whole() {
        assert_eq!(pieces("SELECT 'a; b").len(), 1);
    }
}

//! Colours for SQL while it is typed.

use crate::cli::shell::lexer::{TokenKind, tokens};
use crate::cli::shell::words::is_keyword;

const KEYWORD: &str = "\u{1b}[1;34m";
const TEXT: &str = "\u{1b}[32m";
const NUMBER: &str = "\u{1b}[36m";
const COMMENT: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// The text with colours; its letters stay the same.
pub(crate) fn highlighted(text: &str) -> String {
    let mut coloured = String::with_capacity(text.len() * 2);
    for token in tokens(text) {
        let piece = &text[token.range];
        let colour = match token.kind {
            TokenKind::Word if is_keyword(piece) => KEYWORD,
            TokenKind::Text(_) => TEXT,
            TokenKind::Number => NUMBER,
            TokenKind::Comment(_) => COMMENT,
            _ => {
                coloured.push_str(piece);
                continue;
            }
        };
        coloured.push_str(colour);
        coloured.push_str(piece);
        coloured.push_str(RESET);
    }
    coloured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_texts_and_numbers_have_their_colours() {
        let coloured = highlighted("select 1 as x, 'b'");
        assert!(coloured.starts_with("\u{1b}[1;34mselect\u{1b}[0m"));
        assert!(coloured.contains("\u{1b}[36m1\u{1b}[0m"));
        assert!(coloured.contains("\u{1b}[32m'b'\u{1b}[0m"));
        assert!(coloured.contains(" x,"), "names stay as they are: {coloured:?}");
    }
}

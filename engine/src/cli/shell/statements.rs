//! Where one statement ends and the next begins.

use crate::cli::shell::lexer::{Closing, TokenKind, tokens};

/// The statements of a text, without their `;` and without empty ones. What stands after the last
/// `;` is a statement too.
pub(crate) fn statements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for token in tokens(text) {
        if token.kind == TokenKind::Semicolon {
            found.push(&text[start..token.range.start]);
            start = token.range.end;
        }
    }
    found.push(&text[start..]);
    found.into_iter().map(str::trim).filter(|statement| says_something(statement)).collect()
}

/// Whether the text is more than spaces and comments.
fn says_something(text: &str) -> bool {
    let is_silent = |kind| matches!(kind, TokenKind::Space | TokenKind::Comment(_));
    tokens(text).iter().any(|token| !is_silent(token.kind))
}

/// Whether more lines are wanted before this text can run: the last statement has no `;`, or
/// something is not closed.
pub(crate) fn is_unfinished(text: &str) -> bool {
    let tokens = tokens(text);
    let open_block = tokens.last().is_some_and(|token| {
        token.kind == TokenKind::Comment(Closing::Open)
            && text[token.range.clone()].starts_with("/*")
    });
    let meaningful = |kind| !matches!(kind, TokenKind::Space | TokenKind::Comment(_));
    let last = tokens.iter().rev().find(|token| meaningful(token.kind));
    open_block || last.is_some_and(|token| token.kind != TokenKind::Semicolon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_at_semicolons_only() {
        let text = "SELECT ';' -- one; \n FROM a; ; /* nothing; */ ; SELECT 2";
        assert_eq!(statements(text), ["SELECT ';' -- one; \n FROM a", "SELECT 2"]);
        assert!(statements(" -- only a comment").is_empty());
    }

    #[test]
    fn the_shell_waits_for_the_end_of_a_statement() {
        for unfinished in ["SELECT 1", "SELECT 'a;", "SELECT 1; SELECT 2", "/* x", "; a"] {
            assert!(is_unfinished(unfinished), "{unfinished}");
        }
        for finished in ["SELECT 1;", "SELECT 1; -- done", "", "  ", "-- words", "a; b ;\n"] {
            assert!(!is_unfinished(finished), "{finished}");
        }
    }
}

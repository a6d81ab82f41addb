//! `?` in a statement: the places of values that come later, numbered from left to right.

use crate::error::{Error, Result};
use crate::position::{Position, offset_of};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::borrow::Cow;

/// The text with `$1`, `$2`, … in place of each `?`, and `$n` in place of `?n`.
///
/// # Errors
/// [`Error::Invalid`] when `?` and `$n` stand in one text: their numbers would mean two things.
pub(crate) fn numbered(sql: &str) -> Result<Cow<'_, str>> {
    // What cannot even be read as tokens is refused by the parser, in its words.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location() else {
        return Ok(Cow::Borrowed(sql));
    };
    let placeholders = tokens.iter().filter_map(|token| match &token.token {
        Token::Placeholder(text) => Some((text.as_str(), token.span.start)),
        _ => None,
    });
    let mut text = String::new();
    let (mut copied, mut questions, mut others) = (0, 0, 0);
    for (name, start) in placeholders {
        let number = match name.strip_prefix('?') {
            Some("") => {
                questions += 1;
                questions.to_string()
            }
            Some(number) => {
                others += 1;
                number.to_owned()
            }
            None => {
                others += 1;
                continue;
            }
        };
        let position = Position { line: start.line, column: start.column };
        ensure_one_style(questions, others, position)?;
        let offset = offset_of(sql, start);
        text.push_str(&sql[copied..offset]);
        text.push('$');
        text.push_str(&number);
        copied = offset + name.len();
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(sql));
    }
    text.push_str(&sql[copied..]);
    Ok(Cow::Owned(text))
}

fn ensure_one_style(questions: usize, others: usize, position: Position) -> Result<()> {
    match questions > 0 && others > 0 {
        true => Err(Error::Invalid {
            what: "a placeholder '?'".into(),
            reason: "the statement has numbered ones too; use '?' only, or '$1', '$2', … only"
                .into(),
            position: Some(position),
        }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_are_numbered_but_not_in_texts() {
        let sql = "SELECT '?', \"a?\" -- why?\n FROM t WHERE ä = ? AND b = ?";
        let expected = "SELECT '?', \"a?\" -- why?\n FROM t WHERE ä = $1 AND b = $2";
        assert_eq!(numbered(sql).unwrap(), expected);
    }

    #[test]
    fn numbers_of_the_text_are_kept() {
        assert_eq!(numbered("SELECT ?2, ?1").unwrap(), "SELECT $2, $1");
        assert_eq!(numbered("SELECT $2, $1").unwrap(), "SELECT $2, $1");
    }

    #[test]
    fn two_styles_in_one_text_are_refused() {
        let error = numbered("SELECT $1, ?").unwrap_err();
        assert!(error.to_string().contains("line 1, column 12"), "{error}");
        numbered("SELECT ?, ?1").unwrap_err();
    }
}

//! What clients write in questions about the catalog and the engine cannot read, put in words that it
//! can, with the same meaning for a database that has no indexes, keys and options.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeSet;

/// Calls for options and rights of tables, which Habitué has not, and the function that answers NULL.
const WITHOUT_ANSWER: (&str, &str) = ("pg_catalog.array_to_string(", "pg_no_text(");
/// Tables of Postgres that are always empty here: what only they can answer is nothing.
const ALWAYS_EMPTY: [&str; 5] =
    ["_pg_expandarray", "pg_constraint", "pg_index", "pg_inherits", "pg_trigger"];

/// The question with `ARRAY(SELECT …)` and `THEN (SELECT …)` as NULL.
pub(super) fn repaired(sql: &str) -> String {
    changed(&sql.replace(WITHOUT_ANSWER.0, WITHOUT_ANSWER.1), |tokens, place| {
        if let Some(end) = select_after(tokens, place, "then") {
            return Some(("THEN CAST(NULL AS TEXT)".to_owned(), end));
        }
        let end = select_after(tokens, place, "array")?;
        Some(("CAST(NULL AS TEXT)".to_owned(), end))
    })
}

/// The question with the backslash as the escape letter of each `LIKE`: the engine plans others and
/// then fails.
pub(super) fn with_backslash_escapes(sql: &str) -> String {
    changed(sql, |tokens, place| {
        let (escape, end) = escaped_like(tokens, place)?;
        let pattern = tokens[place + 1..escape.start].iter().map(text_of).collect::<String>();
        let letter = &escape.letter;
        Some((format!("{} replace({pattern}, '{letter}', '\\')", tokens[place]), end))
    })
}

/// The text with some of its tokens changed; the rest stays as it was written.
fn changed(sql: &str, change: impl Fn(&[Token], usize) -> Option<(String, usize)>) -> String {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).with_unescape(false).tokenize();
    let Ok(tokens) = tokens else { return sql.to_owned() };
    let mut text = String::with_capacity(sql.len());
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        let (written, end) = change(&tokens, place).unwrap_or_else(|| (text_of(token), place + 1));
        text.push_str(&written);
        place = end;
    }
    text
}

/// A token as it was written: texts with escapes are read into what they mean.
fn text_of(token: &Token) -> String {
    match token {
        Token::EscapedStringLiteral(text) => {
            let text = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
            format!("E'{text}'")
        }
        other => other.to_string(),
    }
}

/// An empty answer with the columns of a question, if it is one that always has an empty answer.
pub(super) fn empty_answer(sql: &str) -> Option<String> {
    let lower = sql.to_lowercase();
    if !ALWAYS_EMPTY.iter().any(|table| lower.contains(table)) {
        return None;
    }
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let columns = select.projection.iter().enumerate().map(|(place, item)| {
        let name = match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => name.value.to_lowercase(),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => {
                names.last()?.value.to_lowercase()
            }
            SelectItem::UnnamedExpr(_) => format!("column{place}"),
            _ => return None,
        };
        Some(format!("CAST(NULL AS TEXT) AS \"{}\"", name.replace('"', "\"\"")))
    });
    let columns = columns.collect::<Option<Vec<_>>>()?.join(", ");
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().ok()?;
    let parameters = tokens.into_iter().filter_map(|token| match token {
        Token::Placeholder(name) => Some(name),
        _ => None,
    });
    let parameters: BTreeSet<String> = parameters.collect();
    let wanted: String =
        parameters.iter().map(|name| format!(" AND CAST({name} AS TEXT) = ''")).collect();
    Some(format!("SELECT {columns} WHERE false{wanted}"))
}

/// Where the `(SELECT …)` ends that follows this word here.
fn select_after(tokens: &[Token], place: usize, word: &str) -> Option<usize> {
    if !is_word(tokens.get(place)?, word) {
        return None;
    }
    let open = solid(tokens, place + 1);
    let inside = solid(tokens, open + 1);
    let begins = tokens.get(open)? == &Token::LParen && is_word(tokens.get(inside)?, "select");
    begins.then(|| closing(tokens, open)).flatten().map(|close| close + 1)
}

/// Where an escape clause begins, and its letter.
struct Escape {
    start: usize,
    letter: String,
}

/// The escape clause of a `LIKE` that stands here, when its letter is not the backslash.
fn escaped_like(tokens: &[Token], place: usize) -> Option<(Escape, usize)> {
    let like = tokens.get(place)?;
    if !is_word(like, "like") && !is_word(like, "ilike") {
        return None;
    }
    let mut depth = 0_usize;
    for (start, token) in tokens.iter().enumerate().skip(place + 1) {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            token if depth == 0 && is_word(token, "escape") => {
                let end = solid(tokens, start + 1);
                let Token::SingleQuotedString(letter) = tokens.get(end)? else { return None };
                let other = letter.chars().count() == 1 && letter != "\\";
                return other.then(|| (Escape { start, letter: letter.clone() }, end + 1));
            }
            token if depth == 0 && (is_word(token, "and") || is_word(token, "or")) => return None,
            _ => {}
        }
    }
    None
}

/// The first token from here that is not blank.
fn solid(tokens: &[Token], from: usize) -> usize {
    let blank = tokens.iter().skip(from).take_while(|token| matches!(token, Token::Whitespace(_)));
    from + blank.count()
}

fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(place);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found)
        if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_engine_cannot_read_is_changed() {
        let sql = "SELECT 'it''s', \"A\", E'a\\n' FROM t WHERE a LIKE 'x%' AND b > 1 -- why";
        assert_eq!(repaired(sql), sql);
        assert_eq!(with_backslash_escapes(sql), sql);
    }

    #[test]
    fn a_select_within_is_nothing() {
        let sql = "SELECT ARRAY(SELECT (a) FROM b) AS c, ARRAY[1], CASE WHEN a THEN (SELECT 1) END";
        let expected = "SELECT CAST(NULL AS TEXT) AS c, ARRAY[1], \
                        CASE WHEN a THEN CAST(NULL AS TEXT) END";
        assert_eq!(repaired(sql), expected);
    }

    #[test]
    fn another_escape_becomes_the_backslash() {
        let sql = "WHERE (a NOT LIKE 'pg/_' || '%' ESCAPE '/') ORDER BY a";
        let expected = "WHERE (a NOT LIKE replace( 'pg/_' || '%' , '/', '\\')) ORDER BY a";
        assert_eq!(with_backslash_escapes(sql), expected);
    }

    #[test]
    fn a_question_about_indexes_has_an_empty_answer() {
        let sql = "SELECT i.indrelid, x.a AS \"B\" FROM pg_index i WHERE i.oid = $1";
        let expected = "SELECT CAST(NULL AS TEXT) AS \"indrelid\", CAST(NULL AS TEXT) AS \"B\" \
                        WHERE false AND CAST($1 AS TEXT) = ''";
        assert_eq!(empty_answer(sql).as_deref(), Some(expected));
        assert_eq!(empty_answer("SELECT 1 FROM pg_class"), None);
    }
}

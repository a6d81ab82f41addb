//! What can stand at the cursor: keywords, tables, columns, functions, segments, dot commands.

use crate::cli::shell::dot_command;
use crate::cli::shell::lexer::{Closing, TokenKind, is_word, tokens};
use crate::cli::shell::words::KEYWORDS;

/// The names of a database that can be completed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Tables; those outside the default schema with their schema.
    pub(crate) tables: Vec<String>,
    /// Columns of all tables.
    pub(crate) columns: Vec<String>,
    /// Functions, without brackets.
    pub(crate) functions: Vec<String>,
    /// Segments.
    pub(crate) segments: Vec<String>,
}

/// The completions of a text at a place: where they begin, and the whole words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completions {
    /// The byte from which the word is replaced.
    pub(crate) start: usize,
    /// Words that fit, sorted.
    pub(crate) words: Vec<String>,
}

/// After these words a table is wanted.
const BEFORE_TABLES: [&str; 7] = ["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "DESCRIBE", "COPY"];

/// Says what can be typed at `cursor`.
pub(crate) fn complete(text: &str, cursor: usize, names: &Names) -> Completions {
    let before = &text[..cursor];
    if before.trim_start().starts_with('.') {
        return dot_command::complete(before, names);
    }
    let tokens = tokens(before);
    match tokens.last().map(|token| (token.kind, token.range.start)) {
        Some((TokenKind::Text(Closing::Open), start)) => {
            return matching(&before[start + 1..], start + 1, [&names.segments[..]]);
        }
        Some((TokenKind::Comment(Closing::Open), _)) => {
            return Completions { start: cursor, words: Vec::new() };
        }
        _ => {}
    }
    let start = before
        .rfind(|letter| !is_word(letter) && letter != '.')
        .map_or(0, |place| place + before[place..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    match previous_word(&before[..start]).as_deref() {
        Some("SEGMENT") => matching(word, start, [&names.segments[..]]),
        Some(previous) if BEFORE_TABLES.contains(&previous) => {
            matching(word, start, [&names.tables[..]])
        }
        _ => anything(word, start, names),
    }
}

fn previous_word(text: &str) -> Option<String> {
    let last = tokens(text).into_iter().rev().find(|token| token.kind != TokenKind::Space)?;
    (last.kind == TokenKind::Word).then(|| text[last.range].to_ascii_uppercase())
}

fn anything(word: &str, start: usize, names: &Names) -> Completions {
    if let Some((alias, column)) = word.rsplit_once('.') {
        // `e.amo`: a column behind the name of a table, or a table behind its schema.
        let mut found = matching(word, start, [&names.tables[..]]);
        let columns = matching(column, 0, [&names.columns[..]]).words;
        found.words.extend(columns.into_iter().map(|column| format!("{alias}.{column}")));
        return found;
    }
    let functions: Vec<_> = names.functions.iter().map(|name| format!("{name}(")).collect();
    let keywords = keywords_like(word);
    matching(word, start, [&names.columns[..], &names.tables, &functions, &keywords])
}

/// Keywords in the letters that the typed word uses.
fn keywords_like(word: &str) -> Vec<String> {
    let lower = word.starts_with(|letter: char| letter.is_ascii_lowercase());
    let cased = |keyword: &&str| {
        if lower { keyword.to_ascii_lowercase() } else { (*keyword).to_owned() }
    };
    KEYWORDS.iter().map(cased).collect()
}

/// The words of all lists that begin like `word`; nothing when nothing was typed, but short lists.
pub(crate) fn matching<const N: usize>(
    word: &str,
    start: usize,
    lists: [&[String]; N],
) -> Completions {
    let begins = |candidate: &&String| {
        candidate.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    let mut words: Vec<_> = lists.into_iter().flatten().filter(begins).cloned().collect();
    words.sort_unstable();
    words.dedup();
    Completions { start, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Names {
            tables: owned(&["customers", "events", "system.commits"]),
            columns: owned(&["amount", "customer_id", "event", "ts"]),
            functions: owned(&["count", "in_segment", "window_funnel"]),
            segments: owned(&["lapsed", "vip"]),
        }
    }

    fn words(text: &str) -> Vec<String> {
        complete(text, text.len(), &names()).words
    }

    #[test]
    fn tables_come_after_from() {
        assert_eq!(words("SELECT * FROM ev"), ["events"]);
        assert_eq!(words("SELECT * FROM "), ["customers", "events", "system.commits"]);
        assert_eq!(words("select * from system.c"), ["system.commits"]);
    }

    #[test]
    fn columns_functions_and_keywords_come_elsewhere() {
        assert_eq!(words("SELECT cust"), ["customer_id", "customers"]);
        assert_eq!(words("SELECT win"), ["window_funnel("]);
        assert_eq!(words("sel"), ["select"]);
        assert_eq!(words("SEL"), ["SELECT"]);
        assert_eq!(words("SELECT e.am"), ["e.amount"]);
    }

    #[test]
    fn segments_come_inside_quotes_and_after_segment() {
        assert_eq!(words("SELECT in_segment(customer_id, 'v"), ["vip"]);
        assert_eq!(words("REFRESH SEGMENT "), ["lapsed", "vip"]);
        assert_eq!(words("SELECT 'done' vi_p"), Vec::<String>::new());
    }

    #[test]
    fn the_word_is_replaced_from_its_beginning() {
        assert_eq!(complete("SELECT am, x", 9, &names()).start, 7);
        assert_eq!(complete("SELECT é.am", 12, &names()).start, 7);
    }

    #[test]
    fn nothing_is_offered_inside_comments() {
        assert!(words("SELECT 1 -- sel").is_empty());
    }
}

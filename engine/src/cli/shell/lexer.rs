//! SQL text cut into coloured pieces: enough for highlighting, completion and finding `;`.
//!
//! It knows less than the parser and never fails, because people look at unfinished text.

use std::ops::Range;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a name.
    Word,
    /// A number.
    Number,
    /// `'text'`, or `$$text$$`.
    Text(Closing),
    /// `"name"`.
    QuotedName(Closing),
    /// From `--` to the end of the line, or `/* … */`.
    Comment(Closing),
    /// `;`
    Semicolon,
    /// Spaces and line ends.
    Space,
    /// Operators and brackets.
    Symbol,
}

/// Whether something that must be closed is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// It is.
    Closed,
    /// The text ended before.
    Open,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: TokenKind,
    /// Where it is, in bytes.
    pub(crate) range: Range<usize>,
}

/// All pieces of the text, without gaps.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let (kind, length) = next(&text[start..], first);
        tokens.push(Token { kind, range: start..start + length });
        start += length;
    }
    tokens
}

fn next(rest: &str, first: char) -> (TokenKind, usize) {
    match first {
        ';' => (TokenKind::Semicolon, 1),
        '\'' => quoted(rest, '\'', TokenKind::Text),
        '"' => quoted(rest, '"', TokenKind::QuotedName),
        '-' if rest.starts_with("--") => line_comment(rest),
        '/' if rest.starts_with("/*") => block_comment(rest),
        '$' => dollar_text(rest),
        letter if letter.is_whitespace() => (TokenKind::Space, run(rest, char::is_whitespace)),
        letter if letter.is_ascii_digit() => {
            (TokenKind::Number, run(rest, |c| c.is_ascii_alphanumeric() || c == '.'))
        }
        letter if is_word(letter) => (TokenKind::Word, run(rest, is_word)),
        letter => (TokenKind::Symbol, letter.len_utf8()),
    }
}

/// Whether a letter can stand in a name.
pub(crate) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

/// A doubled quote inside is two quoted pieces in a row, which colours and splits the same.
fn quoted(rest: &str, quote: char, kind: fn(Closing) -> TokenKind) -> (TokenKind, usize) {
    match rest[1..].find(quote) {
        Some(end) => (kind(Closing::Closed), end + 2),
        None => (kind(Closing::Open), rest.len()),
    }
}

fn line_comment(rest: &str) -> (TokenKind, usize) {
    match rest.find('\n') {
        Some(end) => (TokenKind::Comment(Closing::Closed), end + 1),
        None => (TokenKind::Comment(Closing::Open), rest.len()),
    }
}

fn block_comment(rest: &str) -> (TokenKind, usize) {
    let mut depth = 0_usize;
    let mut place = 0;
    while place < rest.len() {
        if rest[place..].starts_with("/*") {
            depth += 1;
            place += 2;
        } else if rest[place..].starts_with("*/") {
            depth -= 1;
            place += 2;
            if depth == 0 {
                return (TokenKind::Comment(Closing::Closed), place);
            }
        } else {
            place += rest[place..].chars().next().map_or(1, char::len_utf8);
        }
    }
    (TokenKind::Comment(Closing::Open), rest.len())
}

/// `$$text$$` and `$tag$text$tag$`; a lone `$1` is a symbol and a number.
fn dollar_text(rest: &str) -> (TokenKind, usize) {
    let tag_length = 1 + run(&rest[1..], is_word);
    let starts_with_digit = rest[1..].starts_with(|letter: char| letter.is_ascii_digit());
    if starts_with_digit || !rest[tag_length..].starts_with('$') {
        return (TokenKind::Symbol, 1);
    }
    let tag = &rest[..=tag_length];
    match rest[tag.len()..].find(tag) {
        Some(end) => (TokenKind::Text(Closing::Closed), end + 2 * tag.len()),
        None => (TokenKind::Text(Closing::Open), rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
        let meaningful = tokens(text).into_iter().filter(|token| token.kind != TokenKind::Space);
        meaningful.map(|token| (token.kind, &text[token.range])).collect()
    }

    #[test]
    fn semicolons_inside_quotes_and_comments_are_not_ends() {
        let hiding = ["'a;b'", "\"a;b\"", "-- a;b", "/* a /* ; */ b */", "$x$ a;b $$ $x$"];
        for text in hiding {
            assert_eq!(kinds(text).len(), 1, "{text}: {:?}", kinds(text));
        }
    }

    #[test]
    fn unfinished_pieces_are_open() {
        assert_eq!(kinds("'abc"), [(TokenKind::Text(Closing::Open), "'abc")]);
        assert_eq!(kinds("/* abc"), [(TokenKind::Comment(Closing::Open), "/* abc")]);
        assert_eq!(kinds("$$ abc"), [(TokenKind::Text(Closing::Open), "$$ abc")]);
    }

    // If this fails, typing some letter in the shell ends the program.
    #[test]
    fn any_text_is_cut_into_pieces_without_gaps() {
        let texts = ["東京 = 'Zoë;", "$ $1 $$", "-", "/*/*", "\u{0}", "1e5.2x", "é;ü'", "$é$x$é$"];
        for text in texts {
            let joined: String = tokens(text).into_iter().map(|t| &text[t.range]).collect();
            assert_eq!(joined, text);
        }
    }
}

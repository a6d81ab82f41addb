//! Reading the words of a statement.

use crate::error::{Error, Result};
use crate::position::offset_of;
use crate::statements::chain::ensure_not_too_long;
use datafusion::sql::parser::{DFParser, DFParserBuilder};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The engine's parser over a text, with what our statements need besides.
pub(super) struct Words<'a> {
    sql: &'a str,
    parser: DFParser<'a>,
}

impl<'a> Words<'a> {
    pub(super) fn new(sql: &'a str) -> Result<Self> {
        ensure_not_too_long(sql)?;
        let parser = DFParserBuilder::new(sql).build();
        let parser = parser.map_err(|error| Error::from_datafusion(error, sql))?;
        Ok(Self { sql, parser })
    }

    /// The engine's parser of statements.
    pub(super) fn engine(&mut self) -> &mut DFParser<'a> {
        &mut self.parser
    }

    /// The parser of SQL under it.
    pub(super) fn parser(&mut self) -> &mut Parser<'a> {
        &mut self.parser.parser
    }

    pub(super) fn sql(&self) -> &'a str {
        self.sql
    }

    /// Whether these words come next.
    pub(super) fn come(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(place, word)| self.comes_at(place, word))
    }

    /// Whether this word is the one at this place from here.
    pub(super) fn comes_at(&self, place: usize, word: &str) -> bool {
        let token = &self.parser.parser.peek_nth_token_ref(place).token;
        matches!(token, Token::Word(found)
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    /// Takes these words if all of them come next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let come = self.come(words);
        if come {
            for _ in words {
                self.parser.parser.next_token();
            }
        }
        come
    }

    /// Takes these words, which must come next.
    pub(super) fn expect(&mut self, words: &[&str]) -> Result<()> {
        match self.take(words) {
            true => Ok(()),
            false => Err(self.expected(&words.join(" "))),
        }
    }

    /// Takes a name; without quotes its letters become lower case.
    pub(super) fn name(&mut self, what: &str) -> Result<String> {
        match self.parser.parser.peek_token().token {
            Token::Word(_) => {
                let name = self.parser.parser.parse_identifier();
                let name = name.map_err(|error| self.refused(error))?;
                Ok(match name.quote_style {
                    Some(_) => name.value,
                    None => name.value.to_lowercase(),
                })
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a text in quotes.
    pub(super) fn text(&mut self, what: &str) -> Result<String> {
        match self.parser.parser.peek_token().token {
            Token::SingleQuotedString(text) => {
                self.parser.parser.next_token();
                Ok(text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a whole number.
    pub(super) fn number(&mut self, what: &str) -> Result<u64> {
        match self.parser.parser.peek_token().token {
            Token::Number(..) => {
                let number = self.parser.parser.parse_literal_uint();
                number.map_err(|error| self.refused(error))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes this sign, which must come next.
    pub(super) fn sign(&mut self, sign: &Token) -> Result<()> {
        match self.parser.parser.consume_token(sign) {
            true => Ok(()),
            false => Err(self.expected(&sign.to_string())),
        }
    }

    /// Takes a query and answers its text as it was written.
    pub(super) fn query_text(&mut self) -> Result<String> {
        let start = offset_of(self.sql, self.parser.parser.peek_token().span.start);
        let query = self.parser.parser.parse_query();
        query.map_err(|error| self.refused(error))?;
        let next = self.parser.parser.peek_token();
        let end = match next.token {
            Token::EOF => self.sql.len(),
            _ => offset_of(self.sql, next.span.start),
        };
        Ok(self.sql[start..end].trim().to_owned())
    }

    /// The error that something else came.
    pub(super) fn expected(&self, what: &str) -> Error {
        let came = self.parser.parser.peek_token();
        match self.parser.parser.expected::<()>(what, came) {
            Err(error) => self.refused(error),
            Ok(()) => Error::invalid("the statement", format!("{what} is wanted")),
        }
    }

    /// The parser's error in our words.
    pub(super) fn refused(&self, error: ParserError) -> Error {
        Error::from_datafusion(error.into(), self.sql)
    }
}

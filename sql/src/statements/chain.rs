//! A limit on how many operators may follow each other.
//!
//! `1 + 1 + …` is a tree as deep as it is long, and a tree that is too deep ends the process when
//! it is walked or dropped. Parentheses and subqueries are limited by the parser, chains are not.

use crate::error::{Error, Result};
use crate::position::Position;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Operators between two commas or clauses, and set operations and joins in one statement.
const CHAIN_LENGTH_MAX: usize = 1_000;
/// Arithmetic between two commas or clauses: the engine finds its types by a deep recursion.
const ARITHMETIC_LENGTH_MAX: usize = 100;

/// How long the chains are that are open at one depth of parentheses.
#[derive(Clone, Copy, Default)]
struct Chains {
    operators: usize,
    arithmetic: usize,
    /// Set operations and joins: a comma between columns does not end them.
    relations: usize,
}

/// Refuses a text in which a chain is too long.
pub(crate) fn ensure_not_too_long(sql: &str) -> Result<()> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    // What cannot even be read as tokens is refused by the parser, in its words.
    let Ok(tokens) = tokens else { return Ok(()) };
    let mut open = vec![Chains::default()];
    for token in &tokens {
        match &token.token {
            Token::LParen => open.push(Chains::default()),
            Token::RParen if open.len() > 1 => drop(open.pop()),
            _ => {
                if let Some(chains) = open.last_mut() {
                    chains.add(token)?;
                }
            }
        }
    }
    Ok(())
}

impl Chains {
    fn end_of_expression(&mut self) {
        self.operators = 0;
        self.arithmetic = 0;
    }

    fn add(&mut self, token: &TokenWithSpan) -> Result<()> {
        match &token.token {
            Token::SemiColon => *self = Self::default(),
            Token::Comma => self.end_of_expression(),
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::JOIN => {
                    self.relations += 1;
                    self.end_of_expression();
                }
                Keyword::SELECT | Keyword::FROM | Keyword::WHERE | Keyword::GROUP => {
                    self.end_of_expression();
                }
                Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::IS => self.operators += 1,
                _ => {}
            },
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod => {
                self.operators += 1;
                self.arithmetic += 1;
            }
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::RParen
            | Token::EOF => {}
            _ => self.operators += 1,
        }
        let limit = match self.arithmetic > ARITHMETIC_LENGTH_MAX {
            true => ARITHMETIC_LENGTH_MAX,
            false if self.operators.max(self.relations) > CHAIN_LENGTH_MAX => CHAIN_LENGTH_MAX,
            false => return Ok(()),
        };
        let reason = format!(
            "more than {limit} operators follow each other; IN (…), a list of VALUES or a table \
             holds as many values as you like"
        );
        let position = Some(Position::from(token.span.start));
        Err(Error::Invalid { what: "the statement".into(), reason, position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_no_chains() {
        let list = vec!["-1 + 2"; 5_000].join(", ");
        ensure_not_too_long(&format!("SELECT a IN ({list}), f(a + 1, {list})")).unwrap();
    }

    #[test]
    fn a_chain_over_calls_is_a_chain() {
        let chain = vec!["f(a, b)"; 102].join(" + ");
        let error = ensure_not_too_long(&format!("SELECT {chain}")).unwrap_err();
        assert!(error.to_string().contains("more than 100 operators"), "{error}");
    }

    #[test]
    fn a_chain_of_unions_is_a_chain() {
        let chain = vec!["SELECT 1, 2"; 1_002].join(" UNION ALL ");
        assert!(ensure_not_too_long(&chain).is_err());
    }
}

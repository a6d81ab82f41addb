//! `EXPLAIN` of our statements: the plan of the query in them.

use crate::error::{Error, Result};
use crate::session::{Answer, Session};
use crate::statements::words::Words;
use crate::statements::{Shape, create_segment, insert_events};
use datafusion::sql::parser::{DFParser, Statement};

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explain {
    /// `EXPLAIN` and its options.
    pub(super) opening: &'static str,
    /// The query that is explained.
    pub(super) query: String,
}

/// ```text
/// EXPLAIN [ANALYZE] CREATE SEGMENT … AS query
/// EXPLAIN [ANALYZE] INSERT INTO events query
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<Explain>> {
    let openings: [(&[&str], &str); 2] =
        [(&["EXPLAIN", "ANALYZE"], "EXPLAIN ANALYZE"), (&["EXPLAIN"], "EXPLAIN")];
    let Some((taken, opening)) = openings.into_iter().find(|(words_, _)| words.come(words_)) else {
        return Ok(None);
    };
    words.take(taken);
    if let Some(statement) = create_segment::parse(words)? {
        return Ok(Some(Explain { opening, query: statement.query_sql().to_owned() }));
    }
    if let Some(statement) = insert_events::parse(words)? {
        return Ok(Some(Explain { opening, query: statement.query_sql().to_owned() }));
    }
    // The engine's: it must see its own opening again.
    for _ in taken {
        words.parser().prev_token();
    }
    Ok(None)
}

impl Explain {
    pub(super) async fn run(self, session: &Session) -> Result<Answer> {
        let query = session.query().await?;
        let plan = query.plan(self.statement()?).await?;
        query.answer_in_turn(plan).await
    }

    pub(super) async fn shape(&self, session: &Session) -> Result<Shape> {
        let plan = session.query().await?.plan(self.statement()?).await?;
        Shape::of_plan(&plan)
    }

    /// The engine's own EXPLAIN of the query.
    fn statement(&self) -> Result<Statement> {
        let sql = format!("{} {}", self.opening, self.query);
        let parsed = DFParser::parse_sql(&sql);
        let mut statements = parsed.map_err(|error| Error::from_datafusion(error, &sql))?;
        statements.pop_front().ok_or_else(|| Error::invalid("EXPLAIN", "a query is wanted"))
    }
}

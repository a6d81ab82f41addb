//! `INSERT INTO events`: takes in the rows of a query as an ingest does, in one commit.
//!
//! Columns are found by their names, so the query names them: `SELECT … AS ts, … AS event`. Columns
//! that events do not have go into `properties`.

use crate::error::{Error, Result};
use crate::events;
use crate::session::{Answer, Query, Session, message_schema, row_of};
use crate::statements::words::Words;
use crate::statements::{Shape, ensure_newest};
use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::tokenizer::Token;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// A parsed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InsertEvents {
    /// The names for the query's columns; `None` is the names that they have.
    pub(super) columns: Option<Vec<String>>,
    pub(super) sql: String,
}

/// ```text
/// INSERT INTO events [(column, …)] query
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> Result<Option<InsertEvents>> {
    if !words.come(&["INSERT", "INTO"]) || !names_events(words) {
        return Ok(None);
    }
    let columns = match words.parser().peek_token().token {
        Token::LParen if !query_in_parentheses(words) => Some(column_names(words)?),
        _ => None,
    };
    let sql = words.query_text()?;
    Ok(Some(InsertEvents { columns, sql }))
}

/// Takes the opening words if the table is ours, with or without its schema.
fn names_events(words: &mut Words<'_>) -> bool {
    let ours: [&[&str]; 3] = [&["events"], &["main", "events"], &["habitue", "main", "events"]];
    let tokens = |path: &[&str]| 2 + 2 * path.len() - 1;
    let named = ours.into_iter().find(|path| {
        let is_next = |place: usize, name: &str| words.comes_at(2 + 2 * place, name);
        let names = path.iter().enumerate().all(|(place, name)| is_next(place, name));
        names && words.parser().peek_nth_token(tokens(path)).token != Token::Period
    });
    let taken = named.map_or(0, tokens);
    for _ in 0..taken {
        words.parser().next_token();
    }
    taken > 0
}

fn query_in_parentheses(words: &mut Words<'_>) -> bool {
    matches!(&words.parser().peek_nth_token(1).token, Token::Word(word)
        if ["SELECT", "WITH", "VALUES"].iter().any(|start| word.value.eq_ignore_ascii_case(start)))
}

fn column_names(words: &mut Words<'_>) -> Result<Vec<String>> {
    words.sign(&Token::LParen)?;
    let mut columns = vec![words.name("a column of events")?];
    while words.parser().consume_token(&Token::Comma) {
        columns.push(words.name("a column of events")?);
    }
    words.sign(&Token::RParen)?;
    Ok(columns)
}

impl InsertEvents {
    pub(super) async fn run(self, session: &Session, values: Vec<ScalarValue>) -> Result<Answer> {
        ensure_newest(session)?;
        let query = session.query().await?;
        let mut plan = query.plan(self.statement()?).await?;
        if !values.is_empty() {
            plan = plan.with_param_values(values)?;
        }
        let rows = query.answer(plan).await?;
        self.insert(session, rows).await
    }

    /// Takes in what the query answers for each row of `values`, whose columns are the parameters
    /// in order, as one commit.
    pub(crate) async fn run_rows(&self, session: &Session, values: &RecordBatch) -> Result<Answer> {
        ensure_newest(session)?;
        let query = session.query().await?;
        let plan = query.plan(self.statement()?).await?;
        let rows = match over_rows(&plan, values)? {
            Some(plan) => query.answer(plan).await?,
            None => row_by_row(&query, &plan, values).await?,
        };
        self.insert(session, rows).await
    }

    pub(super) async fn shape(&self, session: &Session) -> Result<Shape> {
        let plan = session.query().await?.plan(self.statement()?).await?;
        Ok(Shape {
            parameters: Shape::of_plan(&plan)?.parameters,
            ..Shape::of_change(message_schema())
        })
    }

    /// Its query, parsed.
    fn statement(&self) -> Result<Statement> {
        let parsed = DFParser::parse_sql(&self.sql);
        let mut statements = parsed.map_err(|error| Error::from_datafusion(error, &self.sql))?;
        let wanted = || Error::invalid("INSERT INTO events", "a query is wanted");
        statements.pop_front().ok_or_else(wanted)
    }

    async fn insert(&self, session: &Session, rows: Answer) -> Result<Answer> {
        let columns = self.columns.clone();
        let summary = events::insert(session.database().store(), columns, rows).await?;
        let mut message = format!("{} events", summary.events_accepted);
        for (count, what) in [(summary.duplicates, "duplicates"), (summary.rejected, "rejected")] {
            if count > 0 {
                message.push_str(&format!(", {count} {what}"));
            }
        }
        match summary.version {
            Some(version) => message.push_str(&format!(", version {version}")),
            None => message.push_str(", nothing changed"),
        }
        Ok(Answer::of_message(message)?.with_rows_added(summary.events_accepted))
    }

    /// The text of its query.
    pub(super) fn query_sql(&self) -> &str {
        &self.sql
    }
}

/// The plan of `VALUES` with one row over many rows of parameters: each parameter is a column.
/// `None` when the query is another one.
fn over_rows(plan: &LogicalPlan, values: &RecordBatch) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Values(row) = plan else {
        return Ok(None);
    };
    let [row_of_values] = row.values.as_slice() else {
        return Ok(None);
    };
    let table = MemTable::try_new(values.schema(), vec![vec![values.clone()]])?;
    let columns = row_of_values.iter().zip(row.schema.columns());
    let columns =
        columns.map(|(value, column)| Ok(from_columns(value.clone(), values)?.alias(column.name)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let scan = LogicalPlanBuilder::scan("parameters", provider_as_source(Arc::new(table)), None)?;
    Ok(Some(scan.project(columns)?.build()?))
}

/// The expression with columns of `values` in place of its parameters.
fn from_columns(value: Expr, values: &RecordBatch) -> Result<Expr> {
    let schema = values.schema();
    let replaced = value.transform(|part| {
        let Expr::Placeholder(Placeholder { id, .. }) = &part else {
            return Ok(Transformed::no(part));
        };
        let place = id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let field = place.and_then(|place| schema.fields().get(place.checked_sub(1)?));
        let wanted = || Error::invalid(format!("parameter '{id}'"), "it has no value");
        let name = field.ok_or_else(wanted)?.name().clone();
        Ok(Transformed::yes(Expr::Column(Column::from_name(name))))
    });
    Ok(replaced?.data)
}

/// The rows of the query for each row of parameters, one after the other.
async fn row_by_row(query: &Query, plan: &LogicalPlan, values: &RecordBatch) -> Result<Answer> {
    let mut answers = Vec::with_capacity(values.num_rows());
    for row in 0..values.num_rows() {
        let plan = plan.clone().with_param_values(row_of(values, row)?)?;
        answers.push(query.answer(plan).await?);
    }
    let Some(first) = answers.first() else {
        return Err(Error::invalid("the rows of parameters", "there are none"));
    };
    let schema = first.schema.clone();
    let rows = stream::iter(answers).flat_map(|answer| answer.stream);
    Ok(Answer::of_stream(Box::pin(RecordBatchStreamAdapter::new(schema, rows.into_stream()))))
}

//! Subqueries of Postgres's clients in the forms that the engine runs.
//!
//! The engine joins a correlated subquery to its query only when it is an aggregate, and knows
//! neither `ARRAY(SELECT …)` nor `EXISTS` among the columns. So
//!
//! 1. a subquery over tables that are always empty is NULL, false, or an empty list;
//! 2. `(SELECT a FROM …)` becomes `(SELECT max(a) FROM …)`: of at most one row that is the same;
//! 3. `ARRAY(SELECT a …)` becomes `(SELECT array_agg(a) …)`;
//! 4. `EXISTS (SELECT …)` among the columns becomes `(SELECT count(*) > 0 …)`.
//! 5. `pg_table_is_visible(t.oid)` in a condition becomes a question about the schema of `t`.
//!
//! On the way, `LIKE` gets the escape letter that the engine knows, and columns that its tables of
//! the catalog have not become NULL.

use crate::postgres::nothing::{has_no_rows, is_aggregate};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause, OrderByKind, Query,
    Select, SelectItem, SetExpr, Statement, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// Columns of Postgres's tables that ours have not, or not as lists, and what stands for them.
const ABSENT: [(&str, &str); 16] = [
    ("datacl", "CAST(NULL AS TEXT[])"),
    ("defaclacl", "CAST(NULL AS TEXT[])"),
    ("extcondition", "CAST(NULL AS TEXT[])"),
    ("extconfig", "CAST(NULL AS INT[])"),
    ("fdwacl", "CAST(NULL AS TEXT[])"),
    ("lanacl", "CAST(NULL AS TEXT[])"),
    ("nspacl", "CAST(NULL AS TEXT[])"),
    ("proacl", "CAST(NULL AS TEXT[])"),
    ("proconfig", "CAST(NULL AS TEXT[])"),
    ("relacl", "CAST(NULL AS TEXT[])"),
    ("reloptions", "CAST(NULL AS TEXT[])"),
    ("setconfig", "CAST(NULL AS TEXT[])"),
    ("spcacl", "CAST(NULL AS TEXT[])"),
    ("srvacl", "CAST(NULL AS TEXT[])"),
    ("tableoid", "CAST(NULL AS INT)"),
    ("typacl", "CAST(NULL AS TEXT[])"),
];

/// What becomes of subqueries among the columns that are not known to be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// They are brought to a form that the engine may run.
    Computed,
    /// They are NULL: there is no such form.
    Null,
}

/// Rewrites the subqueries of a statement, and the escape letters of `LIKE`.
pub(super) fn rewrite(statement: &mut Statement, columns: Columns) {
    let _ = statement.visit(&mut Subqueries { columns });
}

struct Subqueries {
    columns: Columns,
}

impl VisitorMut for Subqueries {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expression) = item
                && let Some((name, value)) = absent(expression)
            {
                *item = SelectItem::ExprWithAlias { expr: value, alias: Ident::new(name) };
            }
            if let SelectItem::UnnamedExpr(expression)
            | SelectItem::ExprWithAlias { expr: expression, .. } = item
            {
                let _ = expression.visit(&mut AmongColumns { columns: self.columns });
            }
        }
        if let Some(condition) = &mut select.selection {
            let _ = condition.visit(&mut InCondition);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some(better) = better(expression) {
            *expression = better;
        }
        ControlFlow::Continue(())
    }
}

/// Visits what a query selects.
struct AmongColumns {
    columns: Columns,
}

impl VisitorMut for AmongColumns {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let better = match (&*expression, self.columns) {
            (Expr::Subquery(_), Columns::Null) => parsed("CAST(NULL AS TEXT)"),
            (Expr::Function(call), Columns::Null) if is_array(&call.args) => {
                parsed("CAST(NULL AS TEXT[])")
            }
            (Expr::Exists { .. } | Expr::InSubquery { .. }, Columns::Null) => {
                parsed("CAST(NULL AS BOOLEAN)")
            }
            (Expr::Exists { subquery, negated }, Columns::Computed) => counted(subquery, *negated),
            _ => None,
        };
        if let Some(better) = better {
            *expression = better;
        }
        ControlFlow::Continue(())
    }
}

/// Visits a condition.
struct InCondition;

impl VisitorMut for InCondition {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some(better) = visible(expression) {
            *expression = better;
        }
        ControlFlow::Continue(())
    }
}

/// What is found without its schema: the function knows a number, but not its schema.
fn visible(expression: &Expr) -> Option<Expr> {
    let Expr::Function(call) = expression else { return None };
    let name = call.name.0.last()?.as_ident()?;
    let FunctionArguments::List(arguments) = &call.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(names)))] =
        arguments.args.as_slice()
    else {
        return None;
    };
    let [.., table, column] = names.as_slice() else { return None };
    if name.value != "pg_table_is_visible" || column.value != "oid" {
        return None;
    }
    parsed(&format!(
        "{table}.relnamespace IN (SELECT oid FROM pg_catalog.pg_namespace \
         WHERE nspname IN (current_schema(), 'pg_catalog'))"
    ))
}

/// A column that the engine's tables have not, and what stands for it.
fn absent(expression: &Expr) -> Option<(&'static str, Expr)> {
    let Expr::CompoundIdentifier(names) = expression else { return None };
    let last = names.last()?;
    let (name, value) = ABSENT.iter().find(|(name, _)| last.value.eq_ignore_ascii_case(name))?;
    Some((*name, parsed(value)?))
}

fn better(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::CompoundIdentifier(_) => absent(expression).map(|(_, value)| value),
        Expr::Subquery(query) if has_no_rows(query) => parsed("CAST(NULL AS TEXT)"),
        Expr::Subquery(query) => aggregated(query).map(|query| Expr::Subquery(Box::new(query))),
        Expr::Function(call) => match &call.args {
            FunctionArguments::Subquery(query) if is_array(&call.args) => {
                if has_no_rows(query) {
                    return parsed("CAST(NULL AS TEXT[])");
                }
                with_selected(query, "array_agg").map(|query| Expr::Subquery(Box::new(query)))
            }
            _ => None,
        },
        Expr::Exists { subquery, negated } if has_no_rows(subquery) => {
            parsed(if *negated { "true" } else { "false" })
        }
        Expr::InSubquery { subquery, negated, .. } if has_no_rows(subquery) => {
            parsed(if *negated { "true" } else { "false" })
        }
        Expr::Like { escape_char: Some(escape), .. }
        | Expr::ILike { escape_char: Some(escape), .. } => {
            let Value::SingleQuotedString(letter) = &escape.value else { return None };
            let other = letter.chars().count() == 1 && letter != "\\";
            other.then(|| with_backslash(expression.clone(), letter)).flatten()
        }
        _ => None,
    }
}

/// A call without its name: `ARRAY(SELECT …)` is the only one with a bare subquery.
fn is_array(arguments: &FunctionArguments) -> bool {
    matches!(arguments, FunctionArguments::Subquery(_))
}

/// The same subquery as an aggregate of its at most one row.
fn aggregated(query: &Query) -> Option<Query> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if is_aggregate(select) || select.from.is_empty() {
        return None;
    }
    match &query.order_by {
        Some(_) => with_selected(query, "first_value"),
        None => with_selected(query, "max"),
    }
}

/// The same query with a function over what it selects, in the order that it had.
fn with_selected(query: &Query, function: &str) -> Option<Query> {
    if skips_rows(query) {
        return None;
    }
    let mut query = query.clone();
    let order = match query.order_by.take().map(|order| order.kind) {
        None => String::new(),
        Some(OrderByKind::Expressions(order)) => {
            let order: Vec<String> = order.iter().map(ToString::to_string).collect();
            // `ORDER BY 1` is what is selected; in a call it would be the number.
            match order.iter().any(|item| item.starts_with(|c: char| c.is_ascii_digit())) {
                true => String::new(),
                false => format!(" ORDER BY {}", order.join(", ")),
            }
        }
        Some(OrderByKind::All(_)) => return None,
    };
    query.limit_clause = None;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.distinct = None;
    let [SelectItem::UnnamedExpr(selected) | SelectItem::ExprWithAlias { expr: selected, .. }] =
        select.projection.as_mut_slice()
    else {
        return None;
    };
    *selected = parsed(&format!("{function}({selected}{order})"))?;
    Some(query)
}

fn skips_rows(query: &Query) -> bool {
    match &query.limit_clause {
        Some(LimitClause::LimitOffset { offset, .. }) => offset.is_some(),
        Some(LimitClause::OffsetCommaLimit { .. }) => true,
        None => query.fetch.is_some(),
    }
}

/// `EXISTS (…)` as a comparison of a number.
fn counted(query: &Query, negated: bool) -> Option<Expr> {
    if has_no_rows(query) {
        return None;
    }
    let mut query = query.clone();
    query.order_by = None;
    query.limit_clause = None;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.distinct = None;
    let sign = if negated { "=" } else { ">" };
    let number = parsed(&format!("count(*) {sign} 0"))?;
    select.projection = vec![SelectItem::UnnamedExpr(number)];
    Some(Expr::Subquery(Box::new(query)))
}

/// The engine plans other escape letters and then fails.
fn with_backslash(mut like: Expr, letter: &str) -> Option<Expr> {
    let (Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. }) =
        &mut like
    else {
        return None;
    };
    let letter = letter.replace('\'', "''");
    **pattern = parsed(&format!("replace({pattern}, '{letter}', '\\')"))?;
    *escape_char = None;
    Some(like)
}

/// An expression that is written more easily than built.
fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(sql: &str, columns: Columns) -> String {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        rewrite(&mut statement, columns);
        statement.to_string()
    }

    #[test]
    fn a_value_of_one_row_becomes_an_aggregate() {
        for (sql, expected) in [
            ("SELECT (SELECT a FROM b WHERE c = d)", "SELECT (SELECT max(a) FROM b WHERE c = d)"),
            (
                "SELECT 1 WHERE (SELECT a FROM b ORDER BY c LIMIT 1) = 1",
                "SELECT 1 WHERE (SELECT first_value(a ORDER BY c) FROM b) = 1",
            ),
            ("SELECT (SELECT count(*) FROM b)", "SELECT (SELECT count(*) FROM b)"),
            ("SELECT ARRAY(SELECT a FROM b)", "SELECT (SELECT array_agg(a) FROM b)"),
            ("SELECT EXISTS (SELECT 1 FROM b)", "SELECT (SELECT count(*) > 0 FROM b)"),
            ("SELECT 1 WHERE EXISTS (SELECT 1 FROM b)", "SELECT 1 WHERE EXISTS (SELECT 1 FROM b)"),
        ] {
            assert_eq!(rewritten(sql, Columns::Computed), expected);
        }
    }

    #[test]
    fn what_is_empty_is_nothing() {
        for (sql, expected) in [
            ("SELECT (SELECT a FROM pg_attrdef) AS b", "SELECT CAST(NULL AS TEXT) AS b"),
            ("SELECT 1 WHERE EXISTS (SELECT 1 FROM pg_index)", "SELECT 1 WHERE false"),
            ("SELECT 1 WHERE a NOT IN (SELECT 1 FROM pg_index)", "SELECT 1 WHERE true"),
            ("SELECT ARRAY(SELECT a FROM pg_index)", "SELECT CAST(NULL AS TEXT[])"),
        ] {
            assert_eq!(rewritten(sql, Columns::Computed), expected);
        }
    }

    #[test]
    fn a_column_that_cannot_be_computed_is_null_and_a_condition_is_kept() {
        let sql =
            "SELECT CASE WHEN a THEN (SELECT b FROM c) END, ARRAY[1] WHERE d = (SELECT 1 FROM e)";
        let expected = "SELECT CASE WHEN a THEN CAST(NULL AS TEXT) END, ARRAY[1] \
                        WHERE d = (SELECT max(1) FROM e)";
        assert_eq!(rewritten(sql, Columns::Null), expected);
    }

    #[test]
    fn a_table_is_visible_by_its_schema() {
        let sql = "SELECT 1 FROM pg_class c WHERE a AND pg_table_is_visible(c.oid)";
        let expected = "SELECT 1 FROM pg_class c WHERE a AND c.relnamespace IN \
                        (SELECT oid FROM pg_catalog.pg_namespace \
                        WHERE nspname IN (current_schema(), 'pg_catalog'))";
        assert_eq!(rewritten(sql, Columns::Computed), expected);
    }

    #[test]
    fn a_column_that_is_not_there_is_null() {
        let sql = "SELECT c.relacl, b FROM pg_class c WHERE c.relacl IS NULL AND c.relname = 'a'";
        let expected = "SELECT CAST(NULL AS TEXT[]) AS relacl, b FROM pg_class c \
                        WHERE CAST(NULL AS TEXT[]) IS NULL AND c.relname = 'a'";
        assert_eq!(rewritten(sql, Columns::Computed), expected);
    }

    #[test]
    fn another_escape_becomes_the_backslash() {
        let sql = "SELECT 1 WHERE (a NOT LIKE 'pg/_' || '%' ESCAPE '/') ORDER BY a";
        let expected = "SELECT 1 WHERE (a NOT LIKE replace('pg/_' || '%', '/', '\\')) ORDER BY a";
        assert_eq!(rewritten(sql, Columns::Computed), expected);
        let kept = "SELECT 'it''s', \"A\" WHERE a LIKE 'x%'";
        assert_eq!(rewritten(kept, Columns::Computed), kept);
    }
}

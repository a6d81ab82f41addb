//! Questions about Postgres's catalog that can only be answered with nothing: Habitué has no indexes,
//! keys, triggers and the like.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, SetOperator,
    Statement, TableFactor, TableWithJoins, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Tables of Postgres that tell of things that Habitué has not.
const ALWAYS_EMPTY: [&str; 29] = [
    "_pg_expandarray",
    "pg_attrdef",
    "pg_constraint",
    "pg_default_acl",
    "pg_enum",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_indexes",
    "pg_inherits",
    "pg_matviews",
    "pg_partitioned_table",
    "pg_policies",
    "pg_policy",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_rules",
    "pg_seclabel",
    "pg_sequence",
    "pg_sequences",
    "pg_statistic_ext",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_trigger",
    "pg_user_mapping",
];
/// Functions that make one value of many rows, and so of none.
const AGGREGATES: [&str; 14] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "first_value",
    "json_agg",
    "jsonb_agg",
    "last_value",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// Whether a query has no rows, whatever is in the database.
pub(super) fn has_no_rows(query: &Query) -> bool {
    of_body(&query.body)
}

/// Whether what a query selects is made of all its rows together.
pub(super) fn is_aggregate(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, _) => !expressions.is_empty(),
    };
    let found = visit_expressions(&select.projection, |expression| match expression {
        Expr::Function(call) if call.over.is_none() && is_one_of(&call.name, &AGGREGATES) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    grouped || found.is_break()
}

/// An empty answer with the columns of a question, if it is one that always has an empty answer.
pub(super) fn empty_answer(sql: &str) -> Option<String> {
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else { return None };
    if !has_no_rows(query) {
        return None;
    }
    let columns = first_select(&query.body)?.projection.iter().enumerate().map(|(place, item)| {
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

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

fn of_body(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.from.iter().any(of_joined) && !makes_a_row(select),
        SetExpr::Query(query) => has_no_rows(query),
        SetExpr::SetOperation { op, left, right, .. } => match op {
            SetOperator::Union => of_body(left) && of_body(right),
            SetOperator::Intersect => of_body(left) || of_body(right),
            SetOperator::Except | SetOperator::Minus => of_body(left),
        },
        _ => false,
    }
}

/// `count(*)` of nothing is a row.
fn makes_a_row(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by,
        GroupByExpr::Expressions(expressions, _) if expressions.is_empty());
    ungrouped && is_aggregate(select)
}

fn of_joined(joined: &TableWithJoins) -> bool {
    joined.joins.iter().fold(of_relation(&joined.relation), |left, join| {
        match &join.join_operator {
            JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::CrossJoin(_)
            | JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_) => left || of_relation(&join.relation),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => of_relation(&join.relation),
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => left,
            JoinOperator::FullOuter(_) => left && of_relation(&join.relation),
            _ => false,
        }
    })
}

fn of_relation(relation: &TableFactor) -> bool {
    match relation {
        TableFactor::Table { name, .. } => is_one_of(name, &ALWAYS_EMPTY),
        TableFactor::Derived { subquery, .. } => has_no_rows(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => of_joined(table_with_joins),
        _ => false,
    }
}

fn is_one_of(name: &ObjectName, known: &[&str]) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|last| known.iter().any(|known| last.value.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(sql: &str) -> bool {
        empty_answer(sql).is_some()
    }

    #[test]
    fn a_question_about_indexes_has_an_empty_answer() {
        let sql = "SELECT i.indrelid, x.a AS \"B\" FROM pg_index i WHERE i.oid = $1";
        let expected = "SELECT CAST(NULL AS TEXT) AS \"indrelid\", CAST(NULL AS TEXT) AS \"B\" \
                        WHERE false AND CAST($1 AS TEXT) = ''";
        assert_eq!(empty_answer(sql).as_deref(), Some(expected));
        assert!(!nothing("SELECT 1 FROM pg_class"));
    }

    #[test]
    fn a_join_has_no_rows_when_a_side_that_it_needs_has_none() {
        assert!(nothing("SELECT 1 FROM pg_class c JOIN pg_catalog.pg_index i ON true"));
        assert!(nothing("SELECT 1 FROM pg_class c, pg_index i"));
        assert!(nothing("SELECT 1 FROM pg_index i LEFT JOIN pg_class c ON true"));
        assert!(!nothing("SELECT 1 FROM pg_class c LEFT JOIN pg_index i ON true"));
        assert!(nothing("SELECT a FROM (SELECT 1 AS a FROM pg_trigger) x JOIN pg_class ON true"));
    }

    #[test]
    fn unions_and_counts_of_nothing() {
        assert!(nothing("SELECT 1 FROM pg_index UNION ALL SELECT 2 FROM pg_trigger"));
        assert!(!nothing("SELECT 1 FROM pg_index UNION ALL SELECT 2 FROM pg_class"));
        assert!(!nothing("SELECT count(*) FROM pg_index"));
        assert!(nothing("SELECT a, count(*) FROM pg_index GROUP BY a"));
    }
}

//! The relation that a table function reads: a table, a subquery or another table function.

use super::parameter::{Positional, RELATION, Signature, pointing_at};
use super::tables::Tables;
use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArguments, Ident, ObjectName, Spanned, TableFactor, TableFunctionArgs,
};

const DEFAULT_RELATION: &str = "events";

/// Plans relations, also tables that the statement names only as arguments of ours.
pub(super) struct Relations<'a> {
    pub(super) tables: &'a Tables,
    pub(super) context: &'a mut dyn RelationPlannerContext,
}

impl Relations<'_> {
    fn plan(&mut self, relation: TableFactor) -> Result<LogicalPlan> {
        let named = match &relation {
            TableFactor::Table { name, args: None, .. } => Some(name.clone()),
            _ => None,
        };
        match (self.context.plan(relation), named) {
            // DataFusion reads the tables of a statement before it plans, and does not see that
            // an argument is one; common table expressions it knows.
            (Err(unknown), Some(name)) => {
                let reference = self.context.object_name_to_table_reference(name)?;
                self.tables.scan(reference).unwrap_or(Err(unknown))
            }
            (planned, _) => planned,
        }
    }
}

/// Plans the relation of a call: the argument `relation`, the first one without a name, or events.
pub(super) fn plan_relation(
    signature: &Signature,
    pattern: &TableFactor,
    given: Option<SqlExpr>,
    positional: &mut Vec<SqlExpr>,
    relations: &mut Relations<'_>,
) -> Result<LogicalPlan> {
    if let Some(given) = given {
        let span = given.span();
        return match relation_of(&given, pattern) {
            Some(relation) => relations.plan(relation),
            None => {
                let message = signature.wrong(&RELATION, given);
                Err(pointing_at(message, span))
            }
        };
    }
    if let Some(relation) = positional.first().and_then(|first| relation_of(first, pattern)) {
        // A name among conditions may be a table or a column of truth values; tables go first.
        let may_be_condition = signature.positional == Positional::RelationAndConditions
            && !matches!(relation, TableFactor::Derived { .. });
        match relations.plan(relation) {
            Err(_) if may_be_condition => {}
            planned => {
                positional.remove(0);
                return planned;
            }
        }
    }
    relations.plan(table(pattern, ObjectName::from(Ident::new(DEFAULT_RELATION)), None))
}

/// What this expression means where a relation can stand; None for what can only be a value.
fn relation_of(expression: &SqlExpr, pattern: &TableFactor) -> Option<TableFactor> {
    match expression {
        SqlExpr::Subquery(query) => Some(TableFactor::Derived {
            lateral: false,
            subquery: query.clone(),
            alias: None,
            sample: None,
        }),
        SqlExpr::Identifier(name) => Some(table(pattern, ObjectName::from(name.clone()), None)),
        SqlExpr::CompoundIdentifier(names) => {
            Some(table(pattern, ObjectName::from(names.clone()), None))
        }
        SqlExpr::Function(function) => match &function.args {
            FunctionArguments::List(list) => {
                let arguments = TableFunctionArgs { args: list.args.clone(), settings: None };
                Some(table(pattern, function.name.clone(), Some(arguments)))
            }
            _ => None,
        },
        SqlExpr::Nested(inner) => relation_of(inner, pattern),
        _ => None,
    }
}

fn table(
    pattern: &TableFactor,
    called: ObjectName,
    with: Option<TableFunctionArgs>,
) -> TableFactor {
    let mut relation = pattern.clone();
    if let TableFactor::Table { name, args, .. } = &mut relation {
        *name = called;
        *args = with;
    }
    relation
}

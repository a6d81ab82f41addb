//! The relation that a table function reads: a table, a subquery or another table function.

use super::parameter::{Positional, RELATION, Signature, pointing_at};
use super::tables::Tables;
use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Spanned,
    TableFactor, TableFunctionArgs, Value,
};

/// The table function that lists the members of a segment.
const SEGMENT: &str = "segment";
const DEFAULT_RELATION: &str = "events";

/// Plans relations, also tables that the statement names only as arguments of ours.
pub(super) struct Relations<'a> {
    pub(super) tables: &'a Tables,
    pub(super) context: &'a mut dyn RelationPlannerContext,
}

impl Relations<'_> {
    /// The customers that an expression names by a segment or a subquery; None for any other.
    pub(super) fn customers(
        &mut self,
        written: &SqlExpr,
        pattern: &TableFactor,
    ) -> Option<Result<LogicalPlan>> {
        match written {
            SqlExpr::Nested(inner) => self.customers(inner, pattern),
            SqlExpr::Subquery(_) => Some(self.plan(relation_of(written, pattern)?)),
            SqlExpr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => {
                let name = FunctionArg::Unnamed(FunctionArgExpr::Expr(written.clone()));
                let arguments = TableFunctionArgs { args: vec![name], settings: None };
                let segment = ObjectName::from(Ident::new(SEGMENT));
                Some(self.plan(table(pattern, segment, Some(arguments))))
            }
            _ => None,
        }
    }

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
    let may_be_relation = signature.positional != Positional::Parameters;
    if may_be_relation
        && let Some(relation) = positional.first().and_then(|first| relation_of(first, pattern))
    {
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

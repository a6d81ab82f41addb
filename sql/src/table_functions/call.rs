//! A call of a table function: its relation and its arguments, read and checked.

use super::parameter::{Parameter, Positional, Signature, pointing_at};
use super::relation::{Relations, plan_relation};
use super::tables::Tables;
use crate::walk::numbered_label_type;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarUDF, WindowUDF, cast,
    lit,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Spanned,
    TableFactor,
};
use habitue_udf::calendar::{Calendar, CalendarUnit};
use habitue_udf::length_in_steps;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

/// A call that is being planned.
pub(super) struct Call<'a> {
    signature: &'static Signature,
    /// The call as a bare table: the pattern of relations that arguments name.
    pattern: TableFactor,
    tables: &'a Tables,
    context: &'a mut dyn RelationPlannerContext,
    relation: LogicalPlan,
    conditions: Vec<SqlExpr>,
    named: BTreeMap<&'static str, SqlExpr>,
}

impl<'a> Call<'a> {
    /// Reads the arguments of `call`, which must be a table with arguments.
    pub(super) fn read(
        signature: &'static Signature,
        mut call: TableFactor,
        tables: &'a Tables,
        context: &'a mut dyn RelationPlannerContext,
    ) -> Result<Self> {
        let arguments = take_arguments(&mut call);
        let (mut positional, mut named) = (Vec::new(), BTreeMap::new());
        for argument in arguments {
            match read_argument(signature, argument)? {
                (None, value) => positional.push(value),
                (Some(parameter), value) => {
                    let span = value.span();
                    if named.insert(parameter.name, value).is_some() {
                        let message = signature.wrong(parameter, "two values");
                        return Err(pointing_at(message, span));
                    }
                }
            }
        }
        let given = named.remove(super::parameter::RELATION.name);
        let mut relations = Relations { tables, context };
        let relation = plan_relation(signature, &call, given, &mut positional, &mut relations)?;
        let conditions = match signature.positional {
            Positional::RelationAndConditions => positional,
            Positional::Relation => no_more(signature, positional)?,
            Positional::RelationAndParameters | Positional::Parameters => {
                no_more(signature, name_positionals(signature, positional, &mut named))?
            }
        };
        Ok(Self { signature, pattern: call, tables, context, relation, conditions, named })
    }

    /// The relation that the function reads.
    pub(super) fn relation(&self) -> LogicalPlan {
        self.relation.clone()
    }

    pub(super) fn has_column(&self, name: &str) -> bool {
        self.relation.schema().has_column_with_unqualified_name(name)
    }

    pub(super) fn type_of(&self, expression: &Expr) -> Result<DataType> {
        expression.get_type(self.relation.schema())
    }

    pub(super) fn is_given(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// The conditions without a name, each with the text it was written as.
    pub(super) fn conditions(&mut self) -> Result<Vec<(SqlExpr, Expr)>> {
        let written = std::mem::take(&mut self.conditions);
        written
            .into_iter()
            .map(|condition| {
                let planned = self.plan_condition(&condition)?;
                Ok((condition, planned))
            })
            .collect()
    }

    /// An expression over the columns of the relation.
    pub(super) fn expression(&mut self, name: &'static str) -> Result<Option<Expr>> {
        let Some(written) = self.named.get(name).cloned() else {
            return Ok(None);
        };
        let schema = Arc::clone(self.relation.schema());
        self.context.sql_to_expr(written, &schema).map(Some)
    }

    /// An expression over the columns; the column `default` when it is not given.
    pub(super) fn column(&mut self, name: &'static str, default: &str) -> Result<Expr> {
        if let Some(given) = self.expression(name)? {
            return Ok(given);
        }
        let matches = self.relation.schema().qualified_fields_with_unqualified_name(default);
        match matches.as_slice() {
            [(qualifier, field)] => {
                Ok(Expr::Column(Column::new(qualifier.cloned(), field.name().clone())))
            }
            _ => {
                let names: Vec<&str> =
                    self.relation.schema().fields().iter().map(|f| f.name().as_str()).collect();
                let came = format!(
                    "no argument, and no column `{default}` in the relation ({})",
                    names.join(", ")
                );
                self.wrong(name, came)
            }
        }
    }

    /// A column that the relation must have.
    pub(super) fn relation_column(&self, name: &str) -> Result<Expr> {
        let schema = self.relation.schema();
        match schema.qualified_fields_with_unqualified_name(name).as_slice() {
            [(qualifier, field)] => {
                Ok(Expr::Column(Column::new(qualifier.cloned(), field.name().clone())))
            }
            _ => {
                let function = self.signature.name;
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let names = names.collect::<Vec<_>>().join(", ");
                plan_err!("{function} needs a column `{name}` in the relation. came={names}")
            }
        }
    }

    /// A column of time: a timestamp or a date.
    pub(super) fn time_column(&mut self, name: &'static str, default: &str) -> Result<Expr> {
        let column = self.column(name, default)?;
        match self.type_of(&column)? {
            DataType::Timestamp(..) | DataType::Date32 => Ok(column),
            other => self.wrong(name, format!("{column} of type {other}")),
        }
    }

    /// A condition over the columns of the relation.
    pub(super) fn condition(&mut self, name: &'static str) -> Result<Option<Expr>> {
        let Some(written) = self.named.get(name).cloned() else {
            return Ok(None);
        };
        self.plan_condition(&written).map(Some)
    }

    fn plan_condition(&mut self, written: &SqlExpr) -> Result<Expr> {
        let schema = Arc::clone(self.relation.schema());
        let condition = self.context.sql_to_expr(written.clone(), &schema)?;
        match condition.get_type(&schema)? {
            DataType::Boolean | DataType::Null => Ok(condition),
            other => {
                let name = self.signature.name;
                let message = format!(
                    "{name} wants a condition. came=`{written}` of type {other}, example: {}",
                    self.signature.example
                );
                Err(pointing_at(message, written.span()))
            }
        }
    }

    /// A value that does not depend on any row, computed as far as planning can.
    pub(super) fn constant(&mut self, name: &'static str) -> Result<Option<Expr>> {
        let Some(written) = self.named.get(name).cloned() else {
            return Ok(None);
        };
        let nothing = DFSchema::empty();
        let came = written.to_string();
        let Ok(planned) = self.context.sql_to_expr(written, &nothing) else {
            return self.wrong(name, format!("`{came}`, which is not a constant"));
        };
        let simplifier = ExprSimplifier::new(SimplifyContext::default());
        simplifier.simplify(simplifier.coerce(planned, &nothing)?).map(Some)
    }

    /// A value that does not depend on any row, as it is written: it may be a call that cannot be
    /// answered before the query is read.
    pub(super) fn rowless(&mut self, name: &'static str) -> Result<Option<Expr>> {
        let Some(written) = self.named.get(name).cloned() else {
            return Ok(None);
        };
        let came = written.to_string();
        match self.context.sql_to_expr(written, &DFSchema::empty()) {
            Ok(planned) => Ok(Some(planned)),
            Err(_) => self.wrong(name, format!("`{came}`, which depends on rows")),
        }
    }

    /// A literal value.
    pub(super) fn literal(&mut self, name: &'static str) -> Result<Option<ScalarValue>> {
        match self.constant(name)? {
            None => Ok(None),
            Some(Expr::Literal(value, _)) => Ok(Some(value)),
            Some(other) => self.wrong(name, format!("{other}")),
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        let Some(value) = self.literal(name)? else {
            return Ok(None);
        };
        match value.try_as_str() {
            Some(Some(text)) => Ok(Some(text.to_owned())),
            _ => self.wrong(name, value),
        }
    }

    /// Customers, as a plan of one column of numbers: the members of a segment that is named, the
    /// first column of a subquery, or the one that an expression gives.
    pub(super) fn customers(&mut self, name: &'static str) -> Result<LogicalPlan> {
        let Some(written) = self.named.get(name).cloned() else {
            return self.wrong(name, "nothing");
        };
        let mut relations = Relations { tables: self.tables, context: self.context };
        let plan = match relations.customers(&written, &self.pattern) {
            Some(plan) => plan?,
            None => {
                let customer = self.rowless(name)?.unwrap_or_else(|| lit(ScalarValue::Null));
                LogicalPlanBuilder::empty(true)
                    .project(vec![customer.alias("customer")])?
                    .build()?
            }
        };
        let first = Expr::Column(plan.schema().columns().swap_remove(0));
        if !first.get_type(plan.schema())?.is_integer() {
            return self.wrong(name, written);
        }
        let number = cast(first, DataType::Int64).alias("customer");
        LogicalPlanBuilder::from(plan).project(vec![number])?.build()
    }

    /// A length of time in steps of a column of times of this type.
    pub(super) fn length(&mut self, name: &'static str, ts: &DataType) -> Result<Option<i64>> {
        let Some(value) = self.literal(name)? else {
            return Ok(None);
        };
        match length_in_steps(ts, &value) {
            Some(length) => Ok(Some(length)),
            None => self.wrong(name, value),
        }
    }

    /// A column of texts that come with numbers of their own: a walk gives labels in this form
    /// without a look at their texts.
    pub(super) fn label(&mut self, name: &'static str, default: &str) -> Result<Expr> {
        let text = self.column(name, default)?;
        let text = match self.type_of(&text)? {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text,
            _ => cast(text, DataType::Utf8),
        };
        Ok(cast(text, numbered_label_type()))
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => self.wrong(name, format!("'{text}'")),
        }
    }

    /// `true` or `false`; false when it is not given.
    pub(super) fn is_on(&mut self, name: &'static str) -> Result<bool> {
        match self.literal(name)? {
            None => Ok(false),
            Some(ScalarValue::Boolean(Some(on))) => Ok(on),
            Some(other) => self.wrong(name, other),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn count(&mut self, name: &'static str) -> Result<Option<i64>> {
        let Some(value) = self.literal(name)? else {
            return Ok(None);
        };
        match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(count))) if value.data_type().is_integer() && count >= 0 => {
                Ok(Some(count))
            }
            _ => self.wrong(name, value),
        }
    }

    /// The numbers of an array such as `[0, 1, 7]`.
    pub(super) fn numbers(&mut self, name: &'static str) -> Result<Option<Vec<i64>>> {
        let Some(written) = self.named.get(name) else {
            return Ok(None);
        };
        let numbers = match written {
            SqlExpr::Array(array) => {
                array.elem.iter().map(|number| number.to_string().parse().ok()).collect()
            }
            _ => None,
        };
        match numbers {
            Some(numbers) => Ok(Some(numbers)),
            None => self.wrong(name, format!("{written}")),
        }
    }

    /// The time zone of the calendar; UTC when it is not given.
    pub(super) fn time_zone(&mut self, name: &'static str) -> Result<String> {
        let zone = self.text(name)?.unwrap_or_else(|| "UTC".to_owned());
        match Calendar::new(CalendarUnit::Day, &zone) {
            Some(_) => Ok(zone),
            None => self.wrong(name, format!("'{zone}'")),
        }
    }

    /// The start of the query.
    pub(super) fn now(&self) -> Result<Expr> {
        self.scalar_function("now").map(|now| now.call(vec![]))
    }

    /// A scalar function of the session, which may be one that replaced ours.
    pub(super) fn scalar_function(&self, name: &str) -> Result<Arc<ScalarUDF>> {
        let function = self.context.context_provider().get_function_meta(name);
        function.ok_or_else(|| self.missing(name))
    }

    /// A window function of the session.
    pub(super) fn window_function(&self, name: &str) -> Result<Arc<WindowUDF>> {
        let function = self.context.context_provider().get_window_meta(name);
        function.ok_or_else(|| self.missing(name))
    }

    /// `bitmap_agg` when the argument `members` asks for a column of who.
    pub(super) fn members(&mut self) -> Result<Option<Arc<AggregateUDF>>> {
        if !self.is_on("members")? {
            return Ok(None);
        }
        let function = self.context.context_provider().get_aggregate_meta("bitmap_agg");
        function.ok_or_else(|| self.missing("bitmap_agg")).map(Some)
    }

    fn missing(&self, name: &str) -> DataFusionError {
        let function = self.signature.name;
        DataFusionError::Plan(format!("{function} needs a function of the session. missing={name}"))
    }

    /// An error that says which argument, what came, what is wanted, and an example.
    pub(super) fn wrong<T>(&self, name: &str, came: impl Display) -> Result<T> {
        let Some(parameter) = self.signature.parameter(name) else {
            return Err(DataFusionError::Plan(self.signature.unknown(name)));
        };
        let message = self.signature.wrong(parameter, came);
        Err(match self.named.get(parameter.name) {
            Some(written) => pointing_at(message, written.span()),
            None => DataFusionError::Plan(message),
        })
    }
}

/// Leaves `call` as a bare table, to be used as the pattern of the relation.
fn take_arguments(call: &mut TableFactor) -> Vec<FunctionArg> {
    let TableFactor::Table { args, alias, .. } = call else {
        return Vec::new();
    };
    *alias = None;
    args.take().map_or_else(Vec::new, |arguments| arguments.args)
}

fn read_argument(
    signature: &'static Signature,
    argument: FunctionArg,
) -> Result<(Option<&'static Parameter>, SqlExpr)> {
    let written = argument.to_string();
    let (name, value, operator) = match argument {
        FunctionArg::Unnamed(value) => (None, value, FunctionArgOperator::RightArrow),
        FunctionArg::Named { name, arg, operator } => (Some(name), arg, operator),
        FunctionArg::ExprNamed { name: SqlExpr::Identifier(name), arg, operator } => {
            (Some(name), arg, operator)
        }
        FunctionArg::ExprNamed { .. } => {
            (None, FunctionArgExpr::Wildcard, FunctionArgOperator::Value)
        }
    };
    let FunctionArgExpr::Expr(value) = value else {
        return datafusion::common::plan_err!(
            "{} does not understand an argument. came=`{written}`, example: {}",
            signature.name,
            signature.example
        );
    };
    let Some(name) = name else {
        return Ok((None, value));
    };
    match signature.parameter(&name.value) {
        Some(parameter) => Ok((Some(parameter), value)),
        // Some dialects read `event = 'visit'` as a named argument; it is a condition.
        None if operator == FunctionArgOperator::Equals => {
            let left = Box::new(SqlExpr::Identifier(name));
            Ok((None, SqlExpr::BinaryOp { left, op: BinaryOperator::Eq, right: Box::new(value) }))
        }
        None => Err(pointing_at(signature.unknown(&name.value), name.span)),
    }
}

fn no_more(signature: &Signature, positional: Vec<SqlExpr>) -> Result<Vec<SqlExpr>> {
    match positional.first() {
        None => Ok(positional),
        Some(extra) => {
            let message = format!(
                "{} does not know what this argument is; give it a name. came=`{extra}`, \
                 example: {}",
                signature.name, signature.example
            );
            Err(pointing_at(message, extra.span()))
        }
    }
}

/// Gives the names of the parameters, in their order, to what came without a name.
fn name_positionals(
    signature: &Signature,
    positional: Vec<SqlExpr>,
    named: &mut BTreeMap<&'static str, SqlExpr>,
) -> Vec<SqlExpr> {
    let mut unnamed = positional.into_iter();
    for parameter in signature.parameters {
        if !named.contains_key(parameter.name)
            && let Some(value) = unnamed.next()
        {
            named.insert(parameter.name, value);
        }
    }
    unnamed.collect()
}

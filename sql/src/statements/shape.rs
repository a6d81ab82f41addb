//! What a statement wants and what it will answer, found out without running it.

use crate::error::Result;
use crate::session::{Session, message_schema};
use crate::statements::{Located, Statement, engine, show_segments};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::collections::HashMap;
use std::sync::Arc;

/// What the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Rows that were asked for.
    Rows,
    /// Words about what was changed.
    Message,
}

/// What a statement wants and answers.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) schema: SchemaRef,
    pub(crate) answers: Answers,
    /// The placeholders by name, with their types where these are known.
    pub(crate) parameters: HashMap<String, Option<DataType>>,
}

impl Shape {
    /// A statement that changes something.
    pub(super) fn of_change(schema: SchemaRef) -> Self {
        Self { schema, answers: Answers::Message, parameters: HashMap::new() }
    }

    /// What a plan of the engine wants and answers.
    pub(super) fn of_plan(plan: &LogicalPlan) -> Result<Self> {
        let answers = match plan {
            LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_) => Answers::Message,
            _ => Answers::Rows,
        };
        let mut parameters = plan.get_parameter_types()?;
        add_types_of_casts(plan, &mut parameters)?;
        let schema = match parameters.is_empty() {
            true => Arc::clone(plan.schema().inner()),
            false => with_known_types(plan.schema().inner()),
        };
        Ok(Self { schema, answers, parameters })
    }
}

/// A column whose type only its value will tell is promised as text, which every value can become.
fn with_known_types(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Null => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => field.clone(),
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// `$1::BIGINT` says what `$1` is, which the engine does not take as a hint.
fn add_types_of_casts(
    plan: &LogicalPlan,
    parameters: &mut HashMap<String, Option<DataType>>,
) -> Result<()> {
    if parameters.values().all(Option::is_some) {
        return Ok(());
    }
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Cast(cast) = part
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                    && let Some(unknown @ None) = parameters.get_mut(&placeholder.id)
                {
                    *unknown = Some(cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Finds out the shape of a statement; nothing is run.
pub(crate) async fn shape(session: &Session, statement: &Located) -> Result<Shape> {
    let shape = match &statement.statement {
        Statement::Engine(statement) => engine::shape(session, statement.as_ref()).await,
        Statement::Explain(statement) => statement.shape(session).await,
        Statement::InsertEvents(statement) => statement.shape(session).await,
        Statement::RefreshSegments(statement) => Ok(Shape::of_change(statement.schema())),
        Statement::ShowSegments => {
            Ok(Shape { answers: Answers::Rows, ..Shape::of_change(show_segments::schema()) })
        }
        Statement::AlterIdentityNamespace(_)
        | Statement::CreateIdentityNamespace(_)
        | Statement::CreateSegment(_)
        | Statement::DropSegment(_)
        | Statement::RebuildIdentities(_)
        | Statement::StateLink(_) => Ok(Shape::of_change(message_schema())),
    };
    shape.map_err(|error| error.with_position_in(&statement.text))
}

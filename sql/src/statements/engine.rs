//! Statements of the engine: queries, temporary tables and views, settings.

use crate::error::{Error, Result};
use crate::session::{Answer, Session, message_schema};
use crate::statements::words::Words;
use crate::statements::{Shape, Statement};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{LogicalPlan, Statement as PlannedStatement};
use datafusion::sql::parser::{ResetStatement, Statement as EngineStatement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

pub(super) fn parse(words: &mut Words<'_>) -> Result<Statement> {
    let sql = words.sql();
    let statement = words.engine().parse_statement();
    let statement = statement.map_err(|error| Error::from_datafusion(error, sql))?;
    Ok(Statement::Engine(Box::new(statement)))
}

/// What it wants and answers.
pub(super) async fn shape(session: &Session, statement: &EngineStatement) -> Result<Shape> {
    let changes_settings = match statement {
        EngineStatement::Statement(sql) => matches!(sql.as_ref(), SqlStatement::Set(_)),
        EngineStatement::Reset(_) => true,
        _ => false,
    };
    if changes_settings {
        return Ok(Shape::of_change(message_schema()));
    }
    let plan = session.query().await?.plan(statement.clone()).await?;
    Shape::of_plan(&plan)
}

pub(super) async fn run(
    session: &Session,
    statement: EngineStatement,
    values: Vec<ScalarValue>,
) -> Result<Answer> {
    match &statement {
        EngineStatement::Statement(sql) => match sql.as_ref() {
            // A setting that makes the snapshot unreadable must be changeable without one.
            SqlStatement::Set(_) => return set(session, statement).await,
            SqlStatement::Prepare { .. } => {
                let reason = "a prepared plan would keep the snapshot of its preparation";
                return Err(Error::invalid("PREPARE", reason));
            }
            _ => {}
        },
        EngineStatement::Reset(ResetStatement::Variable(name)) => {
            return reset(session, &name.to_string(), statement.clone()).await;
        }
        _ => {}
    }
    let query = session.query().await?;
    let plan = query.plan(statement).await?;
    let plan = match values.is_empty() {
        true => plan,
        false => {
            let values = as_inserted(&plan, values)?;
            plan.with_param_values(values)?
        }
    };
    query.answer_in_turn(plan).await
}

/// The values in the types of the columns that they go into: what is compared in a query finds
/// its type later, what is inserted into a table of the session is taken as it comes.
fn as_inserted(plan: &LogicalPlan, values: Vec<ScalarValue>) -> Result<Vec<ScalarValue>> {
    if !matches!(plan, LogicalPlan::Dml(_)) {
        return Ok(values);
    }
    let types = plan.get_parameter_types()?;
    let convert = |(place, value): (usize, ScalarValue)| match types.get(&format!("${}", place + 1))
    {
        Some(Some(wanted)) if *wanted != value.data_type() => Ok(value.cast_to(wanted)?),
        _ => Ok(value),
    };
    values.into_iter().enumerate().map(convert).collect()
}

/// Changes the session's own settings, and takes the change back when it cannot be read with.
async fn set(session: &Session, statement: EngineStatement) -> Result<Answer> {
    let before = session.context().copied_config();
    let plan = session.context().state().statement_to_plan(statement).await?;
    if let LogicalPlan::Statement(PlannedStatement::SetVariable(setting)) = &plan {
        ensure_of_session(&setting.variable)?;
    }
    session.context().execute_logical_plan(plan).await?;
    match session.snapshot().await {
        Ok(_) => Answer::of_message("set"),
        Err(error) => {
            *session.context().state_ref().write().config_mut() = before;
            Err(error)
        }
    }
}

async fn reset(session: &Session, name: &str, statement: EngineStatement) -> Result<Answer> {
    ensure_of_session(name)?;
    if name.to_lowercase().starts_with("habitue.") {
        let state = session.context().state_ref();
        state.write().config_mut().options_mut().set(&name.to_lowercase(), "default")?;
    } else {
        let plan = session.context().state().statement_to_plan(statement).await?;
        session.context().execute_logical_plan(plan).await?;
    }
    Answer::of_message("reset")
}

/// Memory and spilling belong to the database: sessions share them.
fn ensure_of_session(name: &str) -> Result<()> {
    if name.to_lowercase().starts_with("datafusion.runtime.") {
        let reason = "memory and temporary files are set when the database is opened";
        return Err(Error::invalid(name, reason));
    }
    Ok(())
}

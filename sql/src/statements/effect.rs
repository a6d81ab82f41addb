//! What a statement does, told from its text alone: rights are decided before anything runs.

use crate::statements::Statement;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

/// What a statement does to the database or its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Reads: queries, `SHOW`, `EXPLAIN`.
    Read,
    /// Changes nothing but the session: `SET`, temporary tables and views.
    Session,
    /// Takes in events.
    InsertEvents,
    /// Creates, refreshes or drops segments.
    ChangeSegments,
    /// Changes who is who: namespaces, `LINK`, `UNLINK`, a rebuild.
    ChangeIdentities,
    /// Reads or writes files beside the database: `COPY`, `CREATE EXTERNAL TABLE`.
    Files,
}

impl Effect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Read,
        Self::Session,
        Self::InsertEvents,
        Self::ChangeSegments,
        Self::ChangeIdentities,
        Self::Files,
    ];

    /// What it is called in an error.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "reading",
            Self::Session => "changing the session",
            Self::InsertEvents => "taking in events",
            Self::ChangeSegments => "changing segments",
            Self::ChangeIdentities => "changing identities",
            Self::Files => "using files beside the database",
        }
    }
}

impl Statement {
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::AlterIdentityNamespace(_)
            | Self::CreateIdentityNamespace(_)
            | Self::RebuildIdentities(_)
            | Self::StateLink(_) => Effect::ChangeIdentities,
            Self::CreateSegment(_) | Self::DropSegment(_) | Self::RefreshSegments(_) => {
                Effect::ChangeSegments
            }
            // Only the query of the statement is planned or run.
            Self::Explain(_) | Self::ShowSegments => Effect::Read,
            Self::InsertEvents(_) => Effect::InsertEvents,
            Self::Engine(statement) => effect_of_engine(statement),
        }
    }
}

fn effect_of_engine(statement: &EngineStatement) -> Effect {
    match statement {
        EngineStatement::Statement(statement) => effect_of_sql(statement),
        EngineStatement::CreateExternalTable(_) | EngineStatement::CopyTo(_) => Effect::Files,
        // EXPLAIN ANALYZE runs what it explains.
        EngineStatement::Explain(explain) => effect_of_engine(&explain.statement),
        EngineStatement::Reset(_) => Effect::Session,
    }
}

fn effect_of_sql(statement: &SqlStatement) -> Effect {
    match statement {
        SqlStatement::Query(_)
        | SqlStatement::ExplainTable { .. }
        | SqlStatement::ShowFunctions { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowVariables { .. }
        | SqlStatement::ShowCreate { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowSchemas { .. }
        | SqlStatement::ShowDatabases { .. } => Effect::Read,
        SqlStatement::Explain { statement, .. } => effect_of_sql(statement),
        SqlStatement::Copy { .. } => Effect::Files,
        _ => Effect::Session,
    }
}

//! One statement over one pinned snapshot.

use crate::error::{Error, Named, Result};
use crate::session::catalog::{HabitueCatalog, catalogs_with};
use crate::session::{
    Answer, CATALOG, Deadline, Length, LocalFiles, MAIN, Pinned, Session, Turns, in_turn,
    length_of, needs_of, until,
};
use crate::statements::Effect;
use crate::suggestion::nearest;
use crate::{functions, segments, table_functions, tables};
use chrono::{DateTime, Utc};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use std::sync::Arc;

/// A context in which the tables and functions of the database show one snapshot.
#[derive(Clone)]
pub(crate) struct Query {
    context: SessionContext,
    /// That of the context. It holds hundreds of functions, so it is copied once for a statement.
    state: Arc<SessionState>,
    pinned: Arc<Pinned>,
    local_files: LocalFiles,
    deadline: Option<Deadline>,
    turns: Option<Turns>,
}

impl Query {
    pub(crate) fn new(session: &Session, pinned: Arc<Pinned>) -> Result<Self> {
        let mut state = session.context().state();
        let catalog = Arc::new(HabitueCatalog::new(
            pinned.clone(),
            session.temporary().clone(),
            state.catalog_list().catalog(CATALOG),
        ));
        let catalogs = catalogs_with(state.catalog_list().as_ref(), catalog.clone());
        state.register_catalog_list(catalogs);
        let mut context = SessionContext::new_with_state(state);
        let local_files = match session.options().rights.allow(Effect::Files) {
            true => session.database().options().local_files,
            false => LocalFiles::Refused,
        };
        if local_files == LocalFiles::Allowed {
            context = context.enable_url_table();
        }
        functions::register(&context, &pinned);
        segments::register(&context, &pinned);
        tables::register(&context);
        table_functions::register_table_functions(&context)?;
        catalog.plan_views_in(&context);
        let deadline = session.options().statement_time_max.map(Deadline::after);
        let turns = session.options().turns.clone();
        let state = Arc::new(context.state());
        Ok(Self { context, state, pinned, local_files, deadline, turns })
    }

    pub(crate) fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }

    /// The tables and functions as the statement finds them.
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// What statements are planned with.
    #[cfg(feature = "postgres")]
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// Plans a statement and reads what it needs.
    pub(crate) async fn plan(&self, statement: Statement) -> Result<LogicalPlan> {
        match self.deadline {
            Some(deadline) => deadline.hold(self.plan_in_time(statement)).await,
            None => self.plan_in_time(statement).await,
        }
    }

    async fn plan_in_time(&self, statement: Statement) -> Result<LogicalPlan> {
        let planned = self.state.statement_to_plan(statement).await;
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => return Err(self.with_known_tables(Error::from(error)).await),
        };
        needs_of(&plan)?.load(&self.pinned).await?;
        Ok(plan)
    }

    /// Runs the plan of a client's query when its turn has come; its rows are computed as they are
    /// read.
    pub(crate) async fn answer_in_turn(&self, plan: LogicalPlan) -> Result<Answer> {
        self.refuse_local_files(&plan)?;
        self.answer_of(self.execute_in_turn(plan)).await
    }

    /// Runs a plan that is part of a statement whose turn it is; its rows are computed as they are
    /// read.
    pub(crate) async fn answer(&self, plan: LogicalPlan) -> Result<Answer> {
        self.refuse_local_files(&plan)?;
        self.answer_of(self.execute(plan)).await
    }

    /// Runs a query in which `now()` is this time.
    pub(crate) async fn answer_at(&self, plan: LogicalPlan, now: DateTime<Utc>) -> Result<Answer> {
        self.answer_of_state(plan, self.state_at(now)).await
    }

    /// Runs a query in this state of the context.
    pub(crate) async fn answer_of_state(
        &self,
        plan: LogicalPlan,
        state: SessionState,
    ) -> Result<Answer> {
        self.answer_of(async {
            let plan = state.create_physical_plan(&plan).await?;
            self.start(plan, &state)
        })
        .await
    }

    /// The context's state, in which `now()` is this time.
    pub(crate) fn state_at(&self, now: DateTime<Utc>) -> SessionState {
        let mut state = self.state.as_ref().clone();
        state.execution_props_mut().query_execution_start_time = Some(now);
        state
    }

    async fn answer_of(
        &self,
        rows: impl Future<Output = Result<SendableRecordBatchStream>>,
    ) -> Result<Answer> {
        let stream = match self.deadline {
            Some(deadline) => until(deadline, deadline.hold(rows).await?),
            None => rows.await?,
        };
        // `information_schema` plans views while it is read, so the context must live as long.
        let keep = self.context.clone();
        let schema = stream.schema();
        let stream = stream.map(move |batch| {
            let _context = &keep;
            batch
        });
        Ok(Answer::of_stream(Box::pin(RecordBatchStreamAdapter::new(schema, stream))))
    }

    async fn execute_in_turn(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let Some(turns) = &self.turns else { return self.execute(plan).await };
        if let LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) = plan {
            let _turn = match plan {
                LogicalPlan::Ddl(_) => Some(turns.take(Length::Long).await),
                _ => None,
            };
            return self.execute(plan).await;
        }
        let state = &self.state;
        let plan = state.create_physical_plan(&plan).await?;
        let length = length_of(plan.as_ref());
        let turn = turns.take(length).await;
        Ok(match length {
            Length::Short => in_turn(Some(turn), execute_stream(plan, state.task_ctx())?),
            Length::Long => turns.workers().execute(plan, state.task_ctx(), turn)?,
        })
    }

    async fn execute(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        if matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) {
            let frame = self.context.execute_logical_plan(plan).await?;
            return Ok(frame.execute_stream().await?);
        }
        let plan = self.state.create_physical_plan(&plan).await?;
        self.start(plan, &self.state)
    }

    /// Starts a plan of a statement that changes something; on a server that counts as long.
    fn start(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> Result<SendableRecordBatchStream> {
        Ok(match &self.turns {
            Some(turns) => turns.workers().execute(plan, state.task_ctx(), ())?,
            None => execute_stream(plan, state.task_ctx())?,
        })
    }

    fn refuse_local_files(&self, plan: &LogicalPlan) -> Result<()> {
        let what = match plan {
            LogicalPlan::Copy(_) => "COPY",
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(_)) => "CREATE EXTERNAL TABLE",
            _ => return Ok(()),
        };
        match self.local_files {
            LocalFiles::Allowed => Ok(()),
            LocalFiles::Refused => Err(Error::NotAllowed { what: what.into() }),
        }
    }

    /// The error with the nearest table or table function, if it is about an unknown one.
    async fn with_known_tables(&self, error: Error) -> Error {
        match error {
            Error::Unknown { named: Named::Table, name, .. } => {
                let state = self.context.state();
                let catalog = state.catalog_list().catalog(CATALOG);
                let mut known = Vec::new();
                for schema in catalog.iter().flat_map(|catalog| catalog.schema_names()) {
                    let tables = catalog.as_ref().and_then(|catalog| catalog.schema(&schema));
                    let names = tables.map_or_else(Vec::new, |tables| tables.table_names());
                    known.extend(names.into_iter().map(|name| (name, schema.clone())));
                }
                let meant = nearest(&name, known.iter().map(|(table, _)| table.as_str()));
                let meant = meant.and_then(|meant| known.iter().find(|(table, _)| table == meant));
                let suggestion = meant.map(|(table, schema)| match schema == MAIN {
                    true => table.clone(),
                    false => format!("{schema}.{table}"),
                });
                Error::Unknown { named: Named::Table, name, suggestion, position: None }
            }
            Error::Unknown { named: Named::Function, name, suggestion: None, .. } => {
                let state = self.context.state();
                let known = state.table_functions().keys().map(String::as_str);
                Error::unknown(Named::Function, name, known)
            }
            other => other,
        }
    }
}

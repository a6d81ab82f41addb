//! A session: settings and temporary tables of one user, and the running of statements.
//!
//! The session's own [`SessionContext`] holds settings, functions and temporary tables. Every
//! statement runs in a context derived from it, in which the tables of the database show one pinned
//! snapshot; see [`Query`].

mod answer;
mod catalog;
mod database;
mod limits;
mod load;
mod pinned;
mod planner;
mod prepared;
pub(crate) mod progress;
mod query;
mod rights;
mod settings;
mod turns;
mod workers;

pub use answer::Answer;
pub(crate) use answer::{counted, message_schema};
pub(crate) use database::STORE_URL;
pub use database::{Database, DatabaseOptions, LocalFiles};
pub use limits::SessionOptions;
pub(crate) use limits::{Deadline, until};
pub(crate) use load::needs_of;
pub(crate) use pinned::{Pinned, SegmentKey};
pub(crate) use prepared::row_of;
pub use prepared::{Parameter, Prepared};
#[cfg(feature = "flight")]
pub(crate) use progress::Progress;
pub(crate) use query::Query;
pub use rights::Rights;
pub(crate) use settings::{AsOf, CustomerWalk, Pruning, Settings, parse_time};
pub use turns::Turns;
pub(crate) use turns::{Length, Turn, in_turn, length_of};

use crate::error::{Error, Result};
use crate::rules::with_our_rules;
use crate::statements::{self, Effect, Located};
use crate::table_functions;
use catalog::Temporary;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_storage::snapshot::Snapshot;
use limits::{SessionMemory, at_most};
use std::sync::Arc;

/// The catalog that holds the database.
pub(crate) const CATALOG: &str = "habitue";
/// The schema of `events`, `customers` and whatever a session creates.
pub(crate) const MAIN: &str = "main";

/// Runs statements, one after the other.
///
/// ```no_run
/// # async fn example(session: habitue_sql::Session) -> habitue_sql::Result<()> {
/// let answer = session.run("SELECT count(*) FROM events").await?;
/// let batches = answer.collect().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session {
    database: Database,
    options: SessionOptions,
    context: SessionContext,
    temporary: Arc<Temporary>,
}

impl Session {
    pub(crate) fn new(database: Database, options: SessionOptions) -> Self {
        let temporary = Arc::new(Temporary::default());
        let context = base_context(&database, &options, &temporary);
        Self { database, options, context, temporary }
    }

    /// Runs one statement; a query is computed as its answer is read.
    pub async fn run(&self, sql: &str) -> Result<Answer> {
        let mut found = statements::parse(sql)?;
        match (found.len(), found.pop()) {
            (1, Some(statement)) => self.run_statement(statement).await,
            (count, _) => {
                Err(Error::invalid("the text", format!("one statement is wanted, {count} came")))
            }
        }
    }

    /// Runs all statements of a text, in order; the first that fails ends it.
    pub async fn run_all(&self, sql: &str) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for statement in statements::parse(sql)? {
            answers.push(self.run_statement(statement).await?);
        }
        Ok(answers)
    }

    /// The session's settings, functions and temporary tables. The tables of the database are not
    /// in it: they show a snapshot, and [`Session::run`] pins one for each statement.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The database that it belongs to.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Understands one statement, which may have `?` or `$1`, `$2`, … in place of values. Nothing
    /// is run.
    pub fn prepare<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Prepared>> {
        Prepared::new(self, sql).boxed()
    }

    /// What its statements may do and cost.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    async fn run_statement(&self, statement: Located) -> Result<Answer> {
        self.run_with(statement, Vec::new()).await
    }

    /// Boxed, so that whoever awaits a statement does not compile all statements again.
    fn run_with(
        &self,
        statement: Located,
        values: Vec<ScalarValue>,
    ) -> BoxFuture<'_, Result<Answer>> {
        let answer = async move {
            let effect = statement.statement.effect();
            self.options.rights.ensure(effect)?;
            let turn = self.turn_to(effect).await;
            let answer = statements::run(self, statement, values).await?;
            let answer = Answer { stream: in_turn(turn, answer.stream), ..answer };
            Ok(match self.options.rows_max {
                Some(rows_max) => Answer { stream: at_most(rows_max, answer.stream), ..answer },
                None => answer,
            })
        };
        answer.boxed()
    }

    /// Waits until a change may run. Queries wait when it is known how long they are, and changes
    /// of the session itself with them.
    pub(crate) async fn turn_to(&self, effect: Effect) -> Option<Turn> {
        match (effect, &self.options.turns) {
            (Effect::Read | Effect::Session | Effect::Files, _) | (_, None) => None,
            (_, Some(turns)) => Some(turns.take(Length::Long).await),
        }
    }

    /// The snapshot that the settings ask for.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let as_of = Settings::of(self.context.state_ref().read().config_options()).as_of;
        let store = self.database.store();
        Ok(match as_of {
            AsOf::Newest => store.snapshot().await?,
            AsOf::Version(version) => store.snapshot_at(version).await?,
            AsOf::Timestamp(time) => store.snapshot_as_of(time).await?,
        })
    }

    /// Pins the snapshot that the settings ask for.
    pub(crate) async fn query(&self) -> Result<Query> {
        let snapshot = self.snapshot().await?;
        let pinned =
            Pinned::new(self.database.store().clone(), self.database.hot().clone(), snapshot)
                .await?;
        self.query_over(Arc::new(pinned))
    }

    /// A query over a snapshot that is pinned already.
    pub(crate) fn query_over(&self, pinned: Arc<Pinned>) -> Result<Query> {
        Query::new(self, pinned)
    }

    pub(crate) fn temporary(&self) -> &Arc<Temporary> {
        &self.temporary
    }
}

fn base_context(
    database: &Database,
    options: &SessionOptions,
    temporary: &Temporary,
) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, MAIN)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(database.options().threads.max(1));
    let settings = config.options_mut();
    settings.sql_parser.collect_spans = true;
    // A walk is spread by customer: whatever is grouped by customer and more needs no shuffle.
    settings.optimizer.subset_repartition_threshold = 1;
    settings.extensions.insert(Settings::default());
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime_of(database, options));
    let state = with_our_rules(state).with_query_planner(Arc::new(planner::Planner));
    let mut context = SessionContext::new_with_state(state.build());
    let catalog = Arc::new(MemoryCatalogProvider::new());
    // A new memory catalog takes any schema.
    let _ = catalog.register_schema(MAIN, temporary.tables().clone());
    context.register_catalog(CATALOG, catalog);
    register_functions(&mut context);
    context
}

/// The runtime of the database, with the session's own memory if that is limited.
fn runtime_of(database: &Database, options: &SessionOptions) -> Arc<RuntimeEnv> {
    let shared = database.runtime();
    match options.memory_bytes_max {
        None => shared.clone(),
        Some(bytes_max) => {
            let memory = SessionMemory::new(shared.memory_pool.clone(), bytes_max);
            Arc::new(RuntimeEnv { memory_pool: Arc::new(memory), ..shared.as_ref().clone() })
        }
    }
}

/// The functions that need no snapshot.
fn register_functions(context: &mut SessionContext) {
    let _ = habitue_udf::register_all(context);
    // Names of functions cannot clash with anything in a new context.
    let _ = datafusion_functions_json::register_all(context);
    let _ = table_functions::register_table_functions(context);
}

//! The catalog `habitue` as a query sees it: the database's tables and the session's own.

use crate::error::Error;
use crate::events::EventsTable;
use crate::session::{CATALOG, MAIN, Pinned};
use crate::tables;
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// The schema of what the database says about itself.
const SYSTEM: &str = "system";

/// What a session created for itself: it goes with the session.
#[derive(Debug, Default)]
pub(crate) struct Temporary {
    tables: Arc<MemorySchemaProvider>,
    /// The `CREATE VIEW` texts: a view is planned for each query, so that it follows the snapshot.
    views: RwLock<BTreeMap<String, String>>,
}

impl Temporary {
    pub(crate) fn tables(&self) -> &Arc<MemorySchemaProvider> {
        &self.tables
    }

    fn view(&self, name: &str) -> Option<String> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn view_names(&self) -> Vec<String> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn set_view(&self, name: &str, definition: &str) {
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        views.insert(name.to_owned(), definition.to_owned());
    }

    fn drop_view(&self, name: &str) -> bool {
        self.views.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }
}

/// Plans views with the state of the query that reads them; it does not keep that state alive.
#[derive(Default)]
struct ViewPlanner {
    state: OnceLock<Box<dyn Fn() -> Option<SessionState> + Send + Sync>>,
    /// The views that are being planned: one that comes again reads itself.
    planning: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for ViewPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewPlanner")
    }
}

impl ViewPlanner {
    async fn plan(&self, name: &str, sql: &str) -> Result<Arc<dyn TableProvider>> {
        if !self.names().insert(name.to_owned()) {
            return Err(Error::invalid(format!("view '{name}'"), "it reads itself").into());
        }
        let plan = self.plan_once(sql).await;
        self.names().remove(name);
        Ok(Arc::new(ViewTable::new(plan?, Some(sql.to_owned()))))
    }

    async fn plan_once(&self, sql: &str) -> Result<LogicalPlan> {
        let gone = || DataFusionError::Internal("the query of this view has ended".into());
        let state = self.state.get().and_then(|state| state()).ok_or_else(gone)?;
        Ok(match Box::pin(state.create_logical_plan(sql)).await? {
            LogicalPlan::Ddl(DdlStatement::CreateView(view)) => Arc::unwrap_or_clone(view.input),
            plan => plan,
        })
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.planning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The catalog of one query.
#[derive(Debug)]
pub(crate) struct HabitueCatalog {
    main: Arc<MainSchema>,
    system: Arc<SystemSchema>,
    /// Further schemas that the session created.
    further: Arc<dyn CatalogProvider>,
    planner: Arc<ViewPlanner>,
}

impl HabitueCatalog {
    pub(crate) fn new(
        pinned: Arc<Pinned>,
        temporary: Arc<Temporary>,
        further: Option<Arc<dyn CatalogProvider>>,
    ) -> Self {
        let planner = Arc::new(ViewPlanner::default());
        let main = MainSchema { pinned: pinned.clone(), temporary, planner: planner.clone() };
        Self {
            main: Arc::new(main),
            system: Arc::new(SystemSchema { pinned }),
            further: further.unwrap_or_else(|| Arc::new(MemoryCatalogProvider::new())),
            planner,
        }
    }

    /// Views are planned in this context from here on.
    pub(crate) fn plan_views_in(&self, context: &SessionContext) {
        let state = context.state_weak_ref();
        let state = move || state.upgrade().map(|state| state.read().clone());
        // Set once, when the query's context is made.
        let _ = self.planner.state.set(Box::new(state));
    }
}

impl CatalogProvider for HabitueCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = vec![MAIN.to_owned(), SYSTEM.to_owned()];
        names.extend(self.further.schema_names().into_iter().filter(|name| name != MAIN));
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            MAIN => Some(self.main.clone()),
            SYSTEM => Some(self.system.clone()),
            other => self.further.schema(other),
        }
    }

    fn register_schema(
        &self,
        name: &str,
        schema: Arc<dyn SchemaProvider>,
    ) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.further.register_schema(name, schema)
    }

    fn deregister_schema(
        &self,
        name: &str,
        cascade: bool,
    ) -> Result<Option<Arc<dyn SchemaProvider>>> {
        match name {
            MAIN | SYSTEM => Err(belongs_to_database("schema", name)),
            other => self.further.deregister_schema(other, cascade),
        }
    }
}

/// All catalogs of a session, with this one in place of its own.
pub(crate) fn catalogs_with(
    session: &dyn CatalogProviderList,
    ours: Arc<HabitueCatalog>,
) -> Arc<dyn CatalogProviderList> {
    let catalogs = MemoryCatalogProviderList::new();
    for name in session.catalog_names() {
        if let Some(catalog) = session.catalog(&name) {
            catalogs.register_catalog(name, catalog);
        }
    }
    catalogs.register_catalog(CATALOG.to_owned(), ours);
    Arc::new(catalogs)
}

fn belongs_to_database(kind: &str, name: &str) -> DataFusionError {
    let reason = "it belongs to the database and can be neither replaced nor dropped";
    Error::invalid(format!("{kind} '{name}'"), reason).into()
}

/// `events`, `customers`, `identifiers`, and the tables and views of the session.
#[derive(Debug)]
struct MainSchema {
    pinned: Arc<Pinned>,
    temporary: Arc<Temporary>,
    planner: Arc<ViewPlanner>,
}

const EVENTS: &str = "events";
const CUSTOMERS: &str = "customers";
const IDENTIFIERS: &str = "identifiers";

impl MainSchema {
    fn is_ours(name: &str) -> bool {
        matches!(name, EVENTS | CUSTOMERS | IDENTIFIERS)
    }
}

#[async_trait]
impl SchemaProvider for MainSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = [CUSTOMERS, EVENTS, IDENTIFIERS].map(str::to_owned).to_vec();
        names.extend(self.temporary.tables.table_names());
        names.extend(self.temporary.view_names());
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match name {
            EVENTS => Ok(Some(Arc::new(EventsTable::new(self.pinned.clone())))),
            IDENTIFIERS => Ok(Some(tables::identifiers(&self.pinned))),
            CUSTOMERS => self.planner.plan(name, tables::CUSTOMERS_SQL).await.map(Some),
            other => match self.temporary.view(other) {
                Some(definition) => self.planner.plan(other, &definition).await.map(Some),
                None => self.temporary.tables.table(other).await,
            },
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        if Self::is_ours(&name) {
            return Err(belongs_to_database("table", &name));
        }
        match table.downcast_ref::<ViewTable>().and_then(ViewTable::definition) {
            Some(definition) => {
                self.temporary.set_view(&name, definition);
                Ok(None)
            }
            None => self.temporary.tables.register_table(name, table),
        }
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if Self::is_ours(name) {
            return Err(belongs_to_database("table", name));
        }
        if self.temporary.drop_view(name) {
            let gone = datafusion::datasource::empty::EmptyTable::new(Arc::new(
                arrow::datatypes::Schema::empty(),
            ));
            return Ok(Some(Arc::new(gone)));
        }
        self.temporary.tables.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        Self::is_ours(name)
            || self.temporary.view(name).is_some()
            || self.temporary.tables.table_exist(name)
    }
}

/// What the database says about itself.
#[derive(Debug)]
struct SystemSchema {
    pinned: Arc<Pinned>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        tables::SYSTEM.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(tables::system(name, &self.pinned))
    }

    fn table_exist(&self, name: &str) -> bool {
        tables::SYSTEM.contains(&name)
    }
}

//! Postgres's own catalog over the tables of a session, so that tools find what there is.

use crate::access::AccessError;
use crate::postgres::functions;
use crate::postgres::settings::ClientSettings;
use crate::session::{CATALOG, Session};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{
    PgCatalogSchemaProvider, PgCatalogStaticTables,
};
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Weak};

/// The schema that Postgres keeps its catalog in.
const PG_CATALOG: &str = "pg_catalog";
/// Table functions that Postgres has, or has with other types.
const TABLE_FUNCTIONS: [&str; 3] = ["generate_series", "pg_get_keywords", "range"];

/// What the catalogs of all connections share: it is read once.
pub(super) struct Catalog {
    tables: Arc<PgCatalogStaticTables>,
    /// A session with the functions of Postgres.
    model: SessionState,
    /// The names of those functions that an ordinary session has not.
    functions: BTreeSet<String>,
}

impl Catalog {
    /// Reads the tables that are the same for everybody.
    pub(super) fn new() -> std::result::Result<Self, AccessError> {
        let refused = |error: DataFusionError| {
            AccessError::invalid("the catalog of Postgres", error.to_string())
        };
        let tables = Arc::new(PgCatalogStaticTables::try_new().map_err(refused)?);
        let config = SessionConfig::new().with_default_catalog_and_schema(CATALOG, "public");
        let context = SessionContext::new_with_config(config);
        let before: BTreeSet<String> = context.state().scalar_functions().keys().cloned().collect();
        setup_pg_catalog(&context, CATALOG, EmptyContextProvider)
            .map_err(|error| refused(*error))?;
        let model = context.state();
        let functions = model.scalar_functions().keys().filter(|name| !before.contains(*name));
        let functions = functions.cloned().collect();
        Ok(Self { tables, model, functions })
    }

    /// Gives a session the catalog of Postgres.
    pub(super) fn add_to(
        &self,
        session: &Arc<Session>,
        user: &str,
        settings: &ClientSettings,
    ) -> Result<()> {
        let context = session.context();
        for name in &self.functions {
            if let Some(function) = self.model.scalar_functions().get(name) {
                context.register_udf(function.as_ref().clone());
            }
        }
        for name in TABLE_FUNCTIONS {
            if let Some(function) = self.model.table_functions().get(name) {
                context.register_udtf(name, function.function().clone());
            }
        }
        functions::register(context, user, settings);
        let state = SessionStateBuilder::new_from_existing(context.state())
            .with_type_planner(Arc::new(PgOidTypePlanner))
            .build();
        *context.state_ref().write() = state;
        let names = SessionTables { session: Arc::downgrade(session) };
        let schema =
            PgCatalogSchemaProvider::try_new(names, self.tables.clone(), EmptyContextProvider)?;
        if let Some(catalog) = context.catalog(CATALOG) {
            catalog.register_schema(PG_CATALOG, Arc::new(schema))?;
        }
        Ok(())
    }
}

/// The tables of a session as its next query would see them.
#[derive(Clone)]
struct SessionTables {
    /// The session holds its catalog, so the catalog must not hold the session.
    session: Weak<Session>,
}

impl fmt::Debug for SessionTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTables")
    }
}

impl SessionTables {
    /// The catalog over the newest version, or the one that the session reads, and the context that
    /// its views are planned in.
    async fn catalog(&self) -> Result<Option<(Arc<dyn CatalogProvider>, SessionContext)>> {
        let Some(session) = self.session.upgrade() else { return Ok(None) };
        let query = session.query().await?;
        let context = query.context().clone();
        Ok(context.catalog(CATALOG).map(|catalog| (catalog, context)))
    }

    async fn schema(
        &self,
        name: &str,
    ) -> Result<Option<(Arc<dyn SchemaProvider>, SessionContext)>> {
        let Some((catalog, context)) = self.catalog().await? else { return Ok(None) };
        Ok(catalog.schema(name).map(|schema| (schema, context)))
    }
}

#[async_trait]
impl CatalogInfo for SessionTables {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(vec![CATALOG.to_owned()])
    }

    async fn schema_names(&self, _catalog: &str) -> Result<Option<Vec<String>>> {
        Ok(self.catalog().await?.map(|(catalog, _)| catalog.schema_names()))
    }

    async fn table_names(&self, _catalog: &str, schema: &str) -> Result<Option<Vec<String>>> {
        Ok(self.schema(schema).await?.map(|(schema, _)| schema.table_names()))
    }

    async fn table_schema(
        &self,
        _catalog: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<SchemaRef>> {
        let Some((schema, _context)) = self.schema(schema).await? else { return Ok(None) };
        Ok(schema.table(table).await?.map(|table| table.schema()))
    }

    async fn table_type(
        &self,
        _catalog: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<TableType>> {
        let Some((schema, _context)) = self.schema(schema).await? else { return Ok(None) };
        schema.table_type(table).await
    }
}

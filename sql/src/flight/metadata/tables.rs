//! Catalogs, schemas and tables as one statement of the session would find them.

use crate::error::{Error, Result};
use crate::flight::metadata::columns::{TablePlace, described};
use crate::flight::wire::{Dictionaries, wire_schema};
use crate::session::{Query, Session};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandGetCatalogs, CommandGetDbSchemas, CommandGetTables};
use datafusion::catalog::information_schema::{
    INFORMATION_SCHEMA, INFORMATION_SCHEMA_TABLES, InformationSchemaProvider,
};
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::logical_expr::TableType;
use std::sync::Arc;

/// What is stored or made by the session.
const BASE_TABLE: &str = "BASE TABLE";
/// What is computed from other tables.
const VIEW: &str = "VIEW";
/// What many clients call a base table in their filters.
const TABLE: &str = "TABLE";

/// The types that a table can have.
pub(in crate::flight) const TABLE_TYPES: [&str; 2] = [BASE_TABLE, VIEW];

/// The rows of GetCatalogs.
pub(in crate::flight) async fn catalogs(session: &Session) -> Result<RecordBatch, FlightError> {
    let query = session.query().await.map_err(|error| external(&error))?;
    let mut builder = CommandGetCatalogs {}.into_builder();
    for name in catalog_names(&query) {
        builder.append(name);
    }
    builder.build()
}

/// The rows of GetDbSchemas.
pub(in crate::flight) async fn schemas(
    session: &Session,
    command: CommandGetDbSchemas,
) -> Result<RecordBatch, FlightError> {
    let query = session.query().await.map_err(|error| external(&error))?;
    let mut builder = command.into_builder();
    for catalog in catalog_names(&query) {
        for schema in schema_names(&query, &catalog) {
            builder.append(&catalog, schema);
        }
    }
    builder.build()
}

/// The rows of GetTables.
pub(in crate::flight) async fn tables(
    session: &Session,
    mut command: CommandGetTables,
) -> Result<RecordBatch, FlightError> {
    for name in &mut command.table_types {
        if name == TABLE {
            name.clear();
            name.push_str(BASE_TABLE);
        }
    }
    let wants_schema = command.include_schema;
    let query = session.query().await.map_err(|error| external(&error))?;
    let mut builder = command.into_builder();
    for catalog in catalog_names(&query) {
        for schema in schema_names(&query, &catalog) {
            let Some(provider) = schema_of(&query, &catalog, &schema) else { continue };
            for table in provider.table_names() {
                let place = TablePlace { catalog: &catalog, schema: &schema, table: &table };
                let found = provider.table(&table).await;
                let Some(found) = found.map_err(|error| external(&error.into()))? else { continue };
                let columns = if wants_schema { shown(&found, &place) } else { Schema::empty() };
                let kind = type_of(&place, found.table_type());
                builder.append(&catalog, &schema, &table, kind, &columns)?;
            }
        }
    }
    builder.build()
}

fn catalog_names(query: &Query) -> Vec<String> {
    let mut names = query.context().state().catalog_list().catalog_names();
    names.sort();
    names
}

fn catalog_of(query: &Query, name: &str) -> Option<Arc<dyn CatalogProvider>> {
    query.context().state().catalog_list().catalog(name)
}

/// The schemas of a catalog, with the one that every catalog has.
fn schema_names(query: &Query, catalog: &str) -> Vec<String> {
    let mut names = catalog_of(query, catalog).map_or_else(Vec::new, |found| found.schema_names());
    names.push(INFORMATION_SCHEMA.to_owned());
    names.sort();
    names.dedup();
    names
}

fn schema_of(query: &Query, catalog: &str, schema: &str) -> Option<Arc<dyn SchemaProvider>> {
    if schema == INFORMATION_SCHEMA {
        let catalogs = query.context().state().catalog_list().clone();
        return Some(Arc::new(InformationSchemaProvider::new(catalogs)));
    }
    catalog_of(query, catalog)?.schema(schema)
}

fn type_of(place: &TablePlace<'_>, table_type: TableType) -> &'static str {
    let about_itself =
        place.schema == INFORMATION_SCHEMA && INFORMATION_SCHEMA_TABLES.contains(&place.table);
    match table_type {
        _ if about_itself => VIEW,
        TableType::View => VIEW,
        TableType::Base | TableType::Temporary => BASE_TABLE,
    }
}

/// The columns as a query over the wire would answer them.
fn shown(table: &Arc<dyn TableProvider>, place: &TablePlace<'_>) -> Schema {
    let columns: SchemaRef = wire_schema(&table.schema(), Dictionaries::Expanded);
    described(&columns, place)
}

fn external(error: &Error) -> FlightError {
    FlightError::Tonic(Box::new(crate::flight::status::status_of(error)))
}

//! One question about the database, its columns and its rows.

use crate::flight::caller::Caller;
use crate::flight::metadata::{
    TABLE_TYPES, catalogs, foreign_keys_schema, primary_keys_schema, schemas, tables,
};
use crate::flight::server::Server;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::error::Result;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    Command, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, CommandGetXdbcTypeInfo,
};
use std::sync::Arc;

/// A question about the database. Its ticket is the command itself: there is nothing to keep.
#[derive(Clone)]
pub(in crate::flight) enum Question {
    Catalogs(CommandGetCatalogs),
    Schemas(CommandGetDbSchemas),
    Tables(CommandGetTables),
    TableTypes,
    SqlInfo(CommandGetSqlInfo),
    XdbcTypes(CommandGetXdbcTypeInfo),
    PrimaryKeys,
    /// Exported, imported, and between two tables.
    ForeignKeys,
}

impl Question {
    /// The question that a command is, if it is one.
    pub(in crate::flight) fn of(command: &Command) -> Option<Self> {
        Some(match command {
            Command::CommandGetCatalogs(command) => Self::Catalogs(*command),
            Command::CommandGetDbSchemas(command) => Self::Schemas(command.clone()),
            Command::CommandGetTables(command) => Self::Tables(command.clone()),
            Command::CommandGetTableTypes(_) => Self::TableTypes,
            Command::CommandGetSqlInfo(command) => Self::SqlInfo(command.clone()),
            Command::CommandGetXdbcTypeInfo(command) => Self::XdbcTypes(*command),
            Command::CommandGetPrimaryKeys(_) => Self::PrimaryKeys,
            Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => Self::ForeignKeys,
            _ => return None,
        })
    }

    /// The columns of the answer.
    pub(in crate::flight) fn schema(&self, server: &Server) -> SchemaRef {
        match self {
            Self::Catalogs(command) => command.into_builder().schema(),
            Self::Schemas(command) => command.clone().into_builder().schema(),
            Self::Tables(command) => command.clone().into_builder().schema(),
            Self::TableTypes => CommandGetTableTypes {}.into_builder().schema(),
            Self::SqlInfo(_) => Arc::new(SqlInfoDataBuilder::schema().clone()),
            Self::XdbcTypes(_) => server.xdbc_types.schema(),
            Self::PrimaryKeys => primary_keys_schema(),
            Self::ForeignKeys => foreign_keys_schema(),
        }
    }

    /// The rows of the answer.
    pub(in crate::flight) async fn rows(
        self,
        server: &Server,
        caller: &Caller,
    ) -> Result<RecordBatch> {
        let session = &caller.client.session;
        match self {
            Self::Catalogs(_) => catalogs(session).await,
            Self::Schemas(command) => schemas(session, command).await,
            Self::Tables(command) => tables(session, command).await,
            Self::TableTypes => {
                let mut builder = CommandGetTableTypes {}.into_builder();
                TABLE_TYPES.iter().for_each(|name| builder.append(name));
                builder.build()
            }
            Self::SqlInfo(command) => server.sql_info.record_batch(command.info),
            Self::XdbcTypes(command) => server.xdbc_types.record_batch(command.data_type),
            Self::PrimaryKeys | Self::ForeignKeys => {
                Ok(RecordBatch::new_empty(self.schema(server)))
            }
        }
    }
}

//! Bulk ingestion: a stream of record batches becomes events, or a temporary table.

use crate::error::Error;
use crate::events;
use crate::flight::incoming::Incoming;
use crate::flight::session::ClientSession;
use crate::flight::status::{internal, status_of};
use crate::session::{Answer, CATALOG, MAIN, Session};
use crate::statements::{Effect, ensure_newest};
use arrow::array::RecordBatch;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use std::sync::Arc;
use tonic::Status;

/// The only table that is stored.
const EVENTS: &str = "events";

/// Takes in all rows, and answers how many were added: events that are there already count nothing.
pub(super) async fn ingest(
    client: &ClientSession,
    command: CommandStatementIngest,
    rows: Incoming,
) -> Result<u64, Status> {
    ensure_place(&command)?;
    let is_events = command.table == EVENTS;
    let _turn = client.session.turn_to(Effect::InsertEvents).await;
    match (is_events, command.temporary) {
        (true, false) => into_events(&client.session, &command, rows).await,
        (true, true) => Err(Status::invalid_argument(
            "a temporary table cannot be called 'events': events are stored",
        )),
        (false, true) => into_temporary(client, &command, rows).await,
        (false, false) => Err(Status::invalid_argument(
            "only the table 'events' is stored; ingest into it, or ask for a temporary table",
        )),
    }
}

fn ensure_place(command: &CommandStatementIngest) -> Result<(), Status> {
    let is = |asked: &Option<String>, ours: &str| {
        asked.as_deref().is_none_or(|name| name.is_empty() || name == ours)
    };
    match is(&command.catalog, CATALOG) && is(&command.schema, MAIN) {
        true => Ok(()),
        false => {
            let message = format!("rows are taken in into {CATALOG}.{MAIN} only");
            Err(Status::invalid_argument(message))
        }
    }
}

fn if_exists(command: &CommandStatementIngest) -> TableExistsOption {
    let options = command.table_definition_options.unwrap_or_default();
    options.if_exists()
}

async fn into_events(
    session: &Session,
    command: &CommandStatementIngest,
    rows: Incoming,
) -> Result<u64, Status> {
    match if_exists(command) {
        TableExistsOption::Fail => {
            return Err(Status::already_exists("table 'events' exists already; append to it"));
        }
        TableExistsOption::Replace => {
            return Err(Status::invalid_argument("events cannot be replaced; append to them"));
        }
        TableExistsOption::Append | TableExistsOption::Unspecified => {}
    }
    let rights = session.options().rights;
    rights.ensure(Effect::InsertEvents).map_err(|error| status_of(&error))?;
    ensure_newest(session).map_err(|error| status_of(&error))?;
    let schema = rows.schema.clone();
    let next = |mut rows: Incoming| async move {
        let batch = rows.next().await.map_err(|status| DataFusionError::External(status.into()))?;
        Ok::<_, DataFusionError>(batch.map(|batch| (batch, rows)))
    };
    let rows = RecordBatchStreamAdapter::new(schema, stream::try_unfold(rows, next));
    let answer = Answer::of_stream(Box::pin(rows));
    let summary = events::insert(session.database().store(), None, answer).await;
    Ok(summary.map_err(|error| refused(&error))?.events_accepted)
}

/// The status of the stream that was read, if that is what failed.
fn refused(error: &Error) -> Status {
    let Error::Query { source, .. } = error else { return status_of(error) };
    let DataFusionError::External(inner) = source.find_root() else { return status_of(error) };
    match inner.downcast_ref::<Status>() {
        Some(status) => Status::new(status.code(), status.message()),
        None => status_of(error),
    }
}

async fn into_temporary(
    client: &ClientSession,
    command: &CommandStatementIngest,
    mut rows: Incoming,
) -> Result<u64, Status> {
    client.ensure_alone()?;
    let rights = client.session.options().rights;
    rights.ensure(Effect::Session).map_err(|error| status_of(&error))?;
    let name = TableReference::bare(command.table.as_str());
    let context = client.session.context();
    let exists = context.table_exist(name.clone()).map_err(internal)?;
    let missing = command.table_definition_options.unwrap_or_default().if_not_exist();
    match (exists, if_exists(command), missing) {
        (true, TableExistsOption::Fail | TableExistsOption::Unspecified, _) => {
            let message = format!("table '{}' exists already", command.table);
            return Err(Status::already_exists(message));
        }
        (false, _, TableNotExistOption::Fail) => {
            return Err(Status::not_found(format!("table '{}' does not exist", command.table)));
        }
        _ => {}
    }
    let memory = memory_for(&client.session, &command.table);
    let mut batches = Vec::new();
    let mut count = 0;
    while let Some(batch) = rows.next().await? {
        let grown = memory.try_grow(batch.get_array_memory_size());
        grown.map_err(|error| status_of(&Error::from(error)))?;
        count += batch.num_rows() as u64;
        batches.push(batch);
    }
    if exists && if_exists(command) == TableExistsOption::Append {
        append(&client.session, &command.table, batches).await?;
    } else {
        let table = MemTable::try_new(rows.schema.clone(), vec![batches]);
        let table: Arc<dyn TableProvider> = Arc::new(table.map_err(internal)?);
        client.give_memory_back(&command.table);
        let registered = context.deregister_table(name.clone());
        let registered = registered.and_then(|_| context.register_table(name, table));
        registered.map_err(|error| status_of(&Error::from(error)))?;
    }
    client.keep_memory(&command.table, memory);
    Ok(count)
}

fn memory_for(session: &Session, table: &str) -> MemoryReservation {
    let consumer = MemoryConsumer::new(format!("temporary table {table}"));
    consumer.register(&session.context().runtime_env().memory_pool)
}

async fn append(session: &Session, table: &str, batches: Vec<RecordBatch>) -> Result<(), Status> {
    if batches.is_empty() {
        return Ok(());
    }
    let appended = async {
        let rows = session.context().read_batches(batches)?;
        rows.write_table(table, DataFrameWriteOptions::new()).await
    };
    appended.await.map(drop).map_err(|error| status_of(&Error::from(error)))
}

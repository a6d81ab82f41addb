//! DoPut: changes, values of parameters, and events.

use crate::flight::caller::Caller;
use crate::flight::execution::Execution;
use crate::flight::handle::Handle;
use crate::flight::incoming::Incoming;
use crate::flight::ingest::ingest;
use crate::flight::query::{
    command_in, ensure_without_parameters, not_understood, refuse_transaction,
};
use crate::flight::server::Server;
use crate::flight::session::ClientSession;
use arrow::array::RecordBatch;
use arrow_flight::sql::{
    Command, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementUpdate, DoPutPreparedStatementResult, DoPutUpdateResult,
};
use arrow_flight::{FlightData, PutResult};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use std::pin::pin;
use std::sync::Arc;
use tonic::{Status, Streaming};

/// What the protocol calls an unknown number of rows.
const UNKNOWN: i64 = -1;

impl Server {
    /// Does what the first message of the stream says with the rest of it.
    pub(super) async fn put(
        &self,
        caller: &Caller,
        messages: Streaming<FlightData>,
    ) -> Result<PutResult, Status> {
        let mut messages = Box::pin(messages);
        let first = messages.message().await?;
        let wanted = || Status::invalid_argument("a descriptor with a command is wanted first");
        let mut first = first.ok_or_else(wanted)?;
        let descriptor = first.flight_descriptor.take().ok_or_else(wanted)?;
        let messages = stream::iter([Ok(first)]).chain(messages);
        match command_in(&descriptor.cmd)? {
            Command::CommandStatementUpdate(command) => {
                Ok(updated(self.update(caller, &command).await?))
            }
            Command::CommandStatementIngest(command) => {
                let rows = Incoming::open(messages).await?;
                Ok(updated(Some(self.ingest(caller, command, rows).await?)))
            }
            Command::CommandPreparedStatementQuery(command) => {
                let values = Incoming::open(messages).await?.values().await?;
                self.bind(caller, &command, values)
            }
            Command::CommandPreparedStatementUpdate(command) => {
                let values = Incoming::open(messages).await?.values().await?;
                Ok(updated(self.update_prepared(caller, &command, values).await?))
            }
            other => Err(not_understood(&other)),
        }
    }

    async fn update(
        &self,
        caller: &Caller,
        command: &CommandStatementUpdate,
    ) -> Result<Option<u64>, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        let prepared = self.prepare(&caller.client, &command.query).await?;
        ensure_without_parameters(&prepared)?;
        let execution = Execution::new(prepared, None, caller.client.wire());
        let execution = caller.client.keep_execution(execution)?;
        self.run_to_end(&caller.client, &execution).await
    }

    fn bind(
        &self,
        caller: &Caller,
        command: &CommandPreparedStatementQuery,
        values: RecordBatch,
    ) -> Result<PutResult, Status> {
        let handle = Handle::from_bytes(&command.prepared_statement_handle)?;
        let (_, statement) = self.sessions.prepared(&caller.owner, handle)?;
        let wanted = statement.prepared.parameters().len();
        ensure_fit(wanted, &values)?;
        if wanted > 0 {
            statement.bind(values);
        }
        let prepared_statement_handle = Some(command.prepared_statement_handle.clone());
        let result = DoPutPreparedStatementResult { prepared_statement_handle };
        Ok(PutResult { app_metadata: result.encode_to_vec().into() })
    }

    async fn update_prepared(
        &self,
        caller: &Caller,
        command: &CommandPreparedStatementUpdate,
        values: RecordBatch,
    ) -> Result<Option<u64>, Status> {
        let handle = Handle::from_bytes(&command.prepared_statement_handle)?;
        let (owner, statement) = self.sessions.prepared(&caller.owner, handle)?;
        let wanted = statement.prepared.parameters().len();
        // Without columns it means the values that were bound before.
        let values = match values.num_columns() {
            0 => statement.bound()?,
            _ => Some(values),
        };
        if let Some(values) = &values {
            ensure_fit(wanted, values)?;
        }
        let values = values.filter(|_| wanted > 0);
        let wire = caller.client.wire();
        let execution = Execution::new(statement.prepared.clone(), values, wire);
        let execution = owner.keep_execution(execution)?;
        self.run_to_end(&owner, &execution).await
    }

    async fn ingest(
        &self,
        caller: &Caller,
        command: CommandStatementIngest,
        rows: Incoming,
    ) -> Result<u64, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        ingest(&caller.client, command, rows).await
    }

    /// Runs a statement whose rows nobody wants to see, and answers how many it added.
    async fn run_to_end(
        &self,
        client: &ClientSession,
        execution: &Arc<Execution>,
    ) -> Result<Option<u64>, Status> {
        let guard = self.guard(client, execution)?;
        if !execution.prepared().answers_rows() {
            return Ok(execution.change(guard).await?.rows_added);
        }
        let mut rows = pin!(execution.read(guard).await?);
        while rows.try_next().await?.is_some() {}
        Ok(None)
    }
}

fn ensure_fit(wanted: usize, values: &RecordBatch) -> Result<(), Status> {
    let (columns, rows) = (values.num_columns(), values.num_rows());
    match wanted {
        0 if columns == 0 => Ok(()),
        _ if columns == wanted && rows > 0 => Ok(()),
        _ => Err(Status::invalid_argument(format!(
            "{wanted} parameters are wanted, {columns} columns with {rows} rows came"
        ))),
    }
}

fn updated(rows: Option<u64>) -> PutResult {
    let known = rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX));
    let result = DoPutUpdateResult { record_count: known.unwrap_or(UNKNOWN) };
    PutResult { app_metadata: result.encode_to_vec().into() }
}

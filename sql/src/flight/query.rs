//! The way of a query: a command becomes a promise (FlightInfo) with a ticket, a ticket rows.

use crate::flight::caller::Caller;
use crate::flight::execution::Execution;
use crate::flight::handle::Handle;
use crate::flight::metadata::Question;
use crate::flight::server::Server;
use crate::flight::session::ClientSession;
use crate::flight::status::{internal, status_of, unreadable};
use crate::flight::stream::{FlightStream, RunGuard};
use crate::flight::wire::{WireOptions, encode, wire_schema};
use crate::session::Prepared;
use crate::statements::Effect;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{
    Any, Command, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
    TicketStatementQuery,
};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::stream;
use prost::Message;
use std::sync::Arc;
use tonic::Status;

/// What a command asks for.
pub(super) enum Promise {
    /// Something about the database.
    Answer(Question),
    /// A statement to run.
    Run(Arc<Execution>),
}

/// The command in a descriptor, a ticket or an action.
pub(super) fn command_in(bytes: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|error| unreadable("the command", error))?;
    Command::try_from(any).map_err(|error| unreadable("the command", error))
}

/// What nobody here understands.
pub(super) fn not_understood(command: &Command) -> Status {
    match command {
        Command::CommandStatementSubstraitPlan(_)
        | Command::ActionCreatePreparedSubstraitPlanRequest(_) => {
            Status::unimplemented("Substrait plans are not understood, send SQL")
        }
        other => Status::invalid_argument(format!(
            "command '{}' does not fit this call",
            crate::flight::status::shortened(other.type_url())
        )),
    }
}

/// Refuses work inside a transaction: there are none, and to ignore that would lose somebody's
/// rollback.
pub(super) fn refuse_transaction(transaction: Option<&Bytes>) -> Result<(), Status> {
    match transaction {
        Some(id) if !id.is_empty() => Err(no_transactions()),
        _ => Ok(()),
    }
}

/// What whoever begins a transaction hears.
pub(super) fn no_transactions() -> Status {
    Status::unimplemented(
        "there are no transactions: each statement is a commit of its own (use autocommit)",
    )
}

impl Server {
    /// What a command asks for; a statement is understood, but not run.
    pub(super) async fn promise(
        &self,
        caller: &Caller,
        command: &Command,
    ) -> Result<Promise, Status> {
        if let Some(question) = Question::of(command) {
            return Ok(Promise::Answer(question));
        }
        let execution = match command {
            Command::CommandStatementQuery(query) => self.promise_query(caller, query).await?,
            Command::CommandPreparedStatementQuery(query) => {
                self.promise_prepared(caller, query)?
            }
            other => return Err(not_understood(other)),
        };
        Ok(Promise::Run(execution))
    }

    async fn promise_query(
        &self,
        caller: &Caller,
        command: &CommandStatementQuery,
    ) -> Result<Arc<Execution>, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        let prepared = self.prepare(&caller.client, &command.query).await?;
        ensure_without_parameters(&prepared)?;
        let wire = caller.client.wire();
        caller.client.keep_execution(Execution::new(prepared, None, wire))
    }

    fn promise_prepared(
        &self,
        caller: &Caller,
        command: &CommandPreparedStatementQuery,
    ) -> Result<Arc<Execution>, Status> {
        let handle = Handle::from_bytes(&command.prepared_statement_handle)?;
        let (owner, statement) = self.sessions.prepared(&caller.owner, handle)?;
        let wire = caller.client.wire();
        let prepared = statement.prepared.clone();
        owner.keep_execution(Execution::new(prepared, statement.bound()?, wire))
    }

    /// Understands a statement.
    pub(super) async fn prepare(
        &self,
        client: &ClientSession,
        sql: &str,
    ) -> Result<Prepared, Status> {
        client.session.prepare(sql).await.map_err(|error| status_of(&error))
    }

    /// Runs a change before its ticket is handed out: a client that sends `DROP SEGMENT` as a query
    /// may never come for the rows, or close its cursor at once, and means it all the same. DoGet
    /// then answers what this run answered.
    pub(super) async fn fulfil_change(
        &self,
        caller: &Caller,
        promise: &Promise,
    ) -> Result<(), Status> {
        match promise {
            Promise::Run(execution) if !execution.prepared().answers_rows() => {
                let guard = self.guard(&caller.client, execution)?;
                execution.change(guard).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The promise as a client gets it.
    pub(super) fn flight_info(
        &self,
        promise: &Promise,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let (schema, ticket) = match promise {
            // The question is its own ticket.
            Promise::Answer(question) => (question.schema(self), descriptor.cmd.clone()),
            Promise::Run(execution) => {
                (schema_of(execution.prepared(), execution.wire), ticket_of(execution))
            }
        };
        let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
        let info = FlightInfo::new().try_with_schema(&schema).map_err(internal)?;
        let info = info.with_endpoint(endpoint).with_descriptor(descriptor);
        Ok(info.with_total_records(-1).with_total_bytes(-1).with_ordered(true))
    }

    /// The schema of what a command would answer.
    pub(super) async fn schema(
        &self,
        caller: &Caller,
        command: &Command,
    ) -> Result<SchemaResult, Status> {
        let wire = caller.client.wire();
        let schema = match command {
            Command::CommandStatementQuery(query) => {
                schema_of(&self.prepare(&caller.client, &query.query).await?, wire)
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = Handle::from_bytes(&query.prepared_statement_handle)?;
                let (_, statement) = self.sessions.prepared(&caller.owner, handle)?;
                schema_of(&statement.prepared, wire)
            }
            other => Question::of(other).ok_or_else(|| not_understood(other))?.schema(self),
        };
        let options = IpcWriteOptions::default();
        SchemaAsIpc::new(&schema, &options).try_into().map_err(internal)
    }

    /// The rows behind a ticket.
    pub(super) async fn rows(
        &self,
        caller: &Caller,
        ticket: &Ticket,
    ) -> Result<FlightStream, Status> {
        let command = command_in(&ticket.ticket)?;
        if let Some(question) = Question::of(&command) {
            let schema = question.schema(self);
            let rows = question.rows(self, caller).await?;
            let rows = stream::iter([Ok(rows)]);
            return Ok(encode(rows, &schema, WireOptions::default()));
        }
        let (client, execution) = match &command {
            Command::TicketStatementQuery(ticket) => {
                let handle = Handle::from_bytes(&ticket.statement_handle)?;
                self.sessions.execution(&caller.owner, handle)?
            }
            Command::CommandPreparedStatementQuery(query) => {
                (caller.client.clone(), self.promise_prepared(caller, query)?)
            }
            other => return Err(not_understood(other)),
        };
        self.run(&client, &execution).await
    }

    async fn run(
        &self,
        client: &ClientSession,
        execution: &Arc<Execution>,
    ) -> Result<FlightStream, Status> {
        let guard = self.guard(client, execution)?;
        let (schema, wire) = (execution.schema().clone(), execution.wire);
        if execution.prepared().answers_rows() {
            return Ok(encode(execution.read(guard).await?, &schema, wire));
        }
        let done = execution.change(guard).await?;
        Ok(encode(stream::iter(done.batches.into_iter().map(Ok)), &schema, wire))
    }

    /// What an execution holds while it runs.
    pub(super) fn guard(
        &self,
        client: &ClientSession,
        execution: &Execution,
    ) -> Result<RunGuard, Status> {
        if execution.prepared().effect() == Effect::Session {
            client.ensure_alone()?;
        }
        Ok(RunGuard::new(execution.cancel_sender()))
    }
}

/// The schema of the answer as it is sent.
pub(super) fn schema_of(prepared: &Prepared, wire: WireOptions) -> SchemaRef {
    wire_schema(prepared.schema(), wire.dictionaries)
}

fn ticket_of(execution: &Execution) -> Bytes {
    let ticket = TicketStatementQuery { statement_handle: execution.handle.to_bytes() };
    ticket.as_any().encode_to_vec().into()
}

/// A statement with parameters must be prepared to get their values.
pub(super) fn ensure_without_parameters(prepared: &Prepared) -> Result<(), Status> {
    match prepared.parameters().len() {
        0 => Ok(()),
        count => Err(Status::invalid_argument(format!(
            "the statement has {count} parameters: prepare it and bind their values"
        ))),
    }
}

/// A schema as the messages of Flight SQL carry it.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let message: arrow_flight::IpcMessage =
        SchemaAsIpc::new(schema, &options).try_into().map_err(internal)?;
    Ok(message.0)
}

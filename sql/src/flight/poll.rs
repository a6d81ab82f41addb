//! PollFlightInfo: a change runs in the background, and its client asks how far it is.

use crate::flight::caller::Caller;
use crate::flight::execution::Execution;
use crate::flight::handle::Handle;
use crate::flight::query::{Promise, command_in};
use crate::flight::server::Server;
use arrow_flight::sql::{Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// So long a client waits for news before it hears that there are none.
const NEWS_WAIT_MAX: Duration = Duration::from_secs(5);

impl Server {
    /// Begins what a command asks for, or tells how far it is when its own descriptor comes back.
    ///
    /// A query is answered at once, since its rows are computed as they are read.
    pub(super) async fn poll(
        self: &Arc<Self>,
        caller: &Caller,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        let command = command_in(&descriptor.cmd)?;
        if let Command::TicketStatementQuery(ticket) = &command {
            let handle = Handle::from_bytes(&ticket.statement_handle)?;
            let (_, execution) = self.sessions.execution(&caller.owner, handle)?;
            return self.news(&execution, descriptor).await;
        }
        let promise = self.promise(caller, &command).await?;
        let info = self.flight_info(&promise, descriptor)?;
        match promise {
            Promise::Run(execution) if !execution.prepared().answers_rows() => {
                self.begin(caller, &execution).await?;
                Ok(still_running(&execution, info))
            }
            _ => Ok(complete(info)),
        }
    }

    async fn news(
        &self,
        execution: &Arc<Execution>,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo, Status> {
        let ended = execution.ended(NEWS_WAIT_MAX).await?;
        let info = self.flight_info(&Promise::Run(execution.clone()), descriptor)?;
        Ok(if ended { complete(info) } else { still_running(execution, info) })
    }

    async fn begin(&self, caller: &Caller, execution: &Arc<Execution>) -> Result<(), Status> {
        let guard = self.guard(&caller.client, execution)?;
        let execution = execution.clone();
        // It ends by itself, by CancelFlightInfo, or with its session; its outcome is kept in it.
        tokio::spawn(async move { execution.change(guard).await.map(drop) });
        Ok(())
    }
}

fn complete(info: FlightInfo) -> PollInfo {
    PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), ..PollInfo::new() }
}

fn still_running(execution: &Execution, info: FlightInfo) -> PollInfo {
    let ticket = TicketStatementQuery { statement_handle: execution.handle.to_bytes() };
    let again = FlightDescriptor::new_cmd(ticket.as_any().encode_to_vec());
    PollInfo {
        info: Some(info),
        flight_descriptor: Some(again),
        progress: execution.progress.fraction(),
        ..PollInfo::new()
    }
}

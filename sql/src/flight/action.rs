//! DoAction: prepared statements, cancelling, session options.

use crate::flight::caller::Caller;
use crate::flight::handle::Handle;
use crate::flight::messages::{
    CloseSessionResult, CloseStatus, GetSessionOptionsResult, SetSessionOptionsRequest,
};
use crate::flight::options;
use crate::flight::query::{
    command_in, no_transactions, not_understood, refuse_transaction, schema_bytes, schema_of,
};
use crate::flight::server::Server;
use crate::flight::status::{shortened, unreadable};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::sql::{
    ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command,
    ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

/// What each action is for; the names are the protocol's.
pub(super) const ACTIONS: [(&str, &str); 7] = [
    ("CreatePreparedStatement", "Understands a statement to run it later, with values."),
    ("ClosePreparedStatement", "Forgets a prepared statement."),
    ("CancelFlightInfo", "Ends a statement by its FlightInfo."),
    ("CancelQuery", "Ends a statement by its FlightInfo; CancelFlightInfo is the newer way."),
    ("SetSessionOptions", "Sets catalog, schema, and whatever SET can set."),
    ("GetSessionOptions", "Tells the options of the session."),
    ("CloseSession", "Ends the session and whatever runs in it."),
];
const BEGIN_OR_END: [&str; 4] =
    ["BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint"];

/// The list of actions.
pub(super) fn action_types() -> impl Iterator<Item = ActionType> {
    ACTIONS.into_iter().map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

impl Server {
    /// Does an action; its answer is one message, or none.
    pub(super) async fn act(
        &self,
        caller: &Caller,
        action: &Action,
    ) -> Result<Option<Bytes>, Status> {
        let body = &action.body;
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let Command::ActionCreatePreparedStatementRequest(request) = command_in(body)?
                else {
                    return Err(unfit(action));
                };
                self.create_prepared(caller, &request).await.map(|result| Some(packed(&result)))
            }
            "ClosePreparedStatement" => {
                let Command::ActionClosePreparedStatementRequest(request) = command_in(body)?
                else {
                    return Err(unfit(action));
                };
                self.close_prepared(caller, &request).map(|()| None)
            }
            "CancelFlightInfo" => {
                let request = CancelFlightInfoRequest::decode(body.clone());
                let request = request.map_err(|error| unreadable("the request", error))?;
                let status = self.cancel(caller, request.info)?;
                Ok(Some(CancelFlightInfoResult::new(status).encode_to_vec().into()))
            }
            "CancelQuery" => {
                let Command::ActionCancelQueryRequest(request) = command_in(body)? else {
                    return Err(unfit(action));
                };
                let info = FlightInfo::decode(request.info);
                let info = info.map_err(|error| unreadable("the FlightInfo", error))?;
                // The numbers of the two results are the same.
                let result = self.cancel(caller, Some(info))? as i32;
                Ok(Some(packed(&ActionCancelQueryResult { result })))
            }
            "SetSessionOptions" => {
                let request = SetSessionOptionsRequest::decode(body.clone());
                let request = request.map_err(|error| unreadable("the options", error))?;
                caller.client.ensure_alone()?;
                let result = options::set(&caller.client, request).await;
                Ok(Some(result.encode_to_vec().into()))
            }
            "GetSessionOptions" => {
                let session_options = options::get(&caller.client);
                let result = GetSessionOptionsResult { session_options };
                Ok(Some(result.encode_to_vec().into()))
            }
            "CloseSession" => {
                self.sessions.end(caller.client.id);
                let status = CloseStatus::Closed as i32;
                Ok(Some(CloseSessionResult { status }.encode_to_vec().into()))
            }
            "CreatePreparedSubstraitPlan" => Err(not_understood(&command_in(body)?)),
            name if BEGIN_OR_END.contains(&name) => Err(no_transactions()),
            _ => Err(unfit(action)),
        }
    }

    async fn create_prepared(
        &self,
        caller: &Caller,
        request: &ActionCreatePreparedStatementRequest,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        refuse_transaction(request.transaction_id.as_ref())?;
        let prepared = self.prepare(&caller.client, &request.query).await?;
        // Without columns a client knows that it is an update and runs it once, by DoPut.
        let dataset_schema = match prepared.answers_rows() {
            true => schema_bytes(&schema_of(&prepared, caller.client.wire()))?,
            false => Bytes::new(),
        };
        let parameters = prepared.parameters().iter().map(|parameter| {
            // A parameter of no known type takes any: as text, every client can send it.
            let data_type = parameter.data_type.clone().unwrap_or(DataType::Utf8);
            Field::new(&parameter.name, data_type, true)
        });
        let parameters = Schema::new(parameters.collect::<Vec<_>>());
        let wire = crate::flight::wire::Dictionaries::Expanded;
        let parameter_schema = schema_bytes(&crate::flight::wire::wire_schema(&parameters, wire))?;
        let handle = caller.client.keep_prepared(prepared)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.to_bytes(),
            dataset_schema,
            parameter_schema,
        })
    }

    fn close_prepared(
        &self,
        caller: &Caller,
        request: &ActionClosePreparedStatementRequest,
    ) -> Result<(), Status> {
        let handle = Handle::from_bytes(&request.prepared_statement_handle)?;
        // Closing what is closed already is no error.
        if let Ok((owner, _)) = self.sessions.prepared(&caller.owner, handle) {
            owner.close_prepared(handle);
        }
        Ok(())
    }

    /// Ends every statement whose ticket stands in the FlightInfo.
    fn cancel(&self, caller: &Caller, info: Option<FlightInfo>) -> Result<CancelStatus, Status> {
        let endpoints = info.unwrap_or_default().endpoint;
        let tickets = endpoints.into_iter().filter_map(|endpoint| endpoint.ticket);
        let mut status = CancelStatus::NotCancellable;
        for ticket in tickets {
            let Command::TicketStatementQuery(ticket) = command_in(&ticket.ticket)? else {
                continue;
            };
            let handle = Handle::from_bytes(&ticket.statement_handle)?;
            let (_, execution) = self.sessions.execution(&caller.owner, handle)?;
            if execution.is_done() {
                continue;
            }
            execution.cancel();
            status = CancelStatus::Cancelled;
        }
        Ok(status)
    }
}

fn packed(message: &impl ProstMessageExt) -> Bytes {
    let any: Any = message.as_any();
    any.encode_to_vec().into()
}

fn unfit(action: &Action) -> Status {
    let name = shortened(&action.r#type);
    Status::invalid_argument(format!("action '{name}' with this body is not understood"))
}

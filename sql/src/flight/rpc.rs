//! The calls of Arrow Flight. Each is let in or not before it is looked at, and a fault in one
//! never reaches another.

use crate::flight::action::action_types;
use crate::flight::query::command_in;
use crate::flight::server::Server;
use crate::flight::stream::FlightStream;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The server as gRPC calls it.
pub(super) struct Calls(pub(super) Arc<Server>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// A panic in a call is a fault of ours: its client hears so, and nobody else notices.
async fn safely<T>(work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let answer = AssertUnwindSafe(work).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(Status::internal("the call failed by a fault of the server")))
}

#[tonic::async_trait]
impl FlightService for Calls {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = FlightStream;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = FlightStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let response = safely(self.0.log_in(request)).await?;
        Ok(response.map(|answer| stream::iter([Ok(answer)]).boxed()))
    }

    /// There is nothing to list: what can be asked is SQL.
    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let (caller, _) = self.0.admit(request).await?;
        Ok(caller.response(stream::empty().boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let (caller, descriptor) = self.0.admit(request).await?;
        let info = safely(async {
            let promise = self.0.promise(&caller, &command_in(&descriptor.cmd)?).await?;
            self.0.fulfil_change(&caller, &promise).await?;
            self.0.flight_info(&promise, descriptor)
        });
        Ok(caller.response(info.await?))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let (caller, descriptor) = self.0.admit(request).await?;
        Ok(caller.response(safely(self.0.poll(&caller, descriptor)).await?))
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        let (caller, descriptor) = self.0.admit(request).await?;
        let schema = safely(async { self.0.schema(&caller, &command_in(&descriptor.cmd)?).await });
        Ok(caller.response(schema.await?))
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        let (caller, ticket) = self.0.admit(request).await?;
        let rows = safely(self.0.rows(&caller, &ticket)).await?;
        Ok(caller.response(rows))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let (caller, messages) = self.0.admit(request).await?;
        let result = safely(self.0.put(&caller, messages)).await?;
        Ok(caller.response(stream::iter([Ok(result)]).boxed()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.0.admit(request).await?;
        Err(Status::unimplemented("DoExchange means nothing here, use DoGet and DoPut"))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        let (caller, action) = self.0.admit(request).await?;
        let answer = safely(self.0.act(&caller, &action)).await?;
        let answer = answer.map(|body| Ok(arrow_flight::Result { body }));
        Ok(caller.response(stream::iter(answer).boxed()))
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let (caller, _) = self.0.admit(request).await?;
        Ok(caller.response(stream::iter(action_types().map(Ok)).boxed()))
    }
}

//! Who may call what. Breaks for a user if this fails: somebody without rights reads people's data.

use crate::flight::server::{TestServer, Users, code, raw, with_token};
use crate::small_shop::{small_shop, value_of};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::*;
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket,
};
use futures::stream;
use prost::Message;
use prost::bytes::Bytes;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const INSERT: &str =
    "INSERT INTO events (event_id, ts, event) VALUES ('x', '2026-05-01T00:00:00Z', 'visit')";

/// A call of Flight with everything in it that can be in it.
#[derive(Clone, Debug)]
enum Call {
    ListFlights,
    ListActions,
    GetFlightInfo(Any),
    PollFlightInfo(Any),
    GetSchema(Any),
    DoGet(Any),
    DoPut(Any),
    DoExchange,
    DoAction(&'static str, Any),
}

fn query(sql: &str) -> Any {
    CommandStatementQuery { query: sql.into(), transaction_id: None }.as_any()
}

fn update(sql: &str) -> Any {
    CommandStatementUpdate { query: sql.into(), transaction_id: None }.as_any()
}

fn prepare(sql: &str) -> Any {
    ActionCreatePreparedStatementRequest { query: sql.into(), transaction_id: None }.as_any()
}

fn ingest() -> Any {
    CommandStatementIngest { table: "events".into(), ..Default::default() }.as_any()
}

/// Every command that asks for something, with handles that nobody has.
fn questions() -> Vec<Any> {
    let handle = Bytes::from_static(&[7; 16]);
    let table = "events".to_owned();
    vec![
        query("SELECT * FROM events"),
        CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() }.as_any(),
        CommandStatementSubstraitPlan::default().as_any(),
        CommandGetCatalogs {}.as_any(),
        CommandGetDbSchemas::default().as_any(),
        CommandGetTables::default().as_any(),
        CommandGetTableTypes {}.as_any(),
        CommandGetSqlInfo { info: vec![] }.as_any(),
        CommandGetXdbcTypeInfo { data_type: None }.as_any(),
        CommandGetPrimaryKeys { table: table.clone(), ..Default::default() }.as_any(),
        CommandGetExportedKeys { table: table.clone(), ..Default::default() }.as_any(),
        CommandGetImportedKeys { table, ..Default::default() }.as_any(),
        CommandGetCrossReference::default().as_any(),
        TicketStatementQuery { statement_handle: handle }.as_any(),
    ]
}

/// Every call that there is.
fn calls() -> Vec<Call> {
    let handle = Bytes::from_static(&[7; 16]);
    let mut calls = vec![Call::ListFlights, Call::ListActions, Call::DoExchange];
    for question in questions() {
        calls.push(Call::GetFlightInfo(question.clone()));
        calls.push(Call::PollFlightInfo(question.clone()));
        calls.push(Call::GetSchema(question.clone()));
        calls.push(Call::DoGet(question));
    }
    let prepared = CommandPreparedStatementUpdate { prepared_statement_handle: handle.clone() };
    let bound = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle };
    let cancel = ActionCancelQueryRequest::default();
    calls.extend([
        Call::DoPut(update(INSERT)),
        Call::DoPut(ingest()),
        Call::DoPut(prepared.as_any()),
        Call::DoPut(bound.as_any()),
        Call::DoAction("CreatePreparedStatement", prepare("SELECT 1")),
        Call::DoAction("ClosePreparedStatement", close.as_any()),
        Call::DoAction("CancelQuery", cancel.as_any()),
        Call::DoAction("BeginTransaction", ActionBeginTransactionRequest {}.as_any()),
        Call::DoAction("EndTransaction", ActionEndTransactionRequest::default().as_any()),
        Call::DoAction("CancelFlightInfo", Any::default()),
        Call::DoAction("SetSessionOptions", Any::default()),
        Call::DoAction("GetSessionOptions", Any::default()),
        Call::DoAction("CloseSession", Any::default()),
        Call::DoAction("NoSuchAction", Any::default()),
    ]);
    calls
}

fn request<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let header: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
    }
    request
}

/// Makes a call and says how many messages of an answer came.
async fn call(
    client: &mut FlightServiceClient<Channel>,
    call: Call,
    token: Option<&str>,
) -> Result<usize, Status> {
    async fn counted<T>(mut answers: tonic::Streaming<T>) -> Result<usize, Status> {
        let mut count = 0;
        while answers.message().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }
    let descriptor = |any: &Any| FlightDescriptor::new_cmd(any.encode_to_vec());
    match call {
        Call::ListFlights => {
            let answers = client.list_flights(request(Criteria::default(), token)).await?;
            counted(answers.into_inner()).await
        }
        Call::ListActions => {
            let answers = client.list_actions(request(Empty {}, token)).await?;
            counted(answers.into_inner()).await
        }
        Call::GetFlightInfo(any) => {
            client.get_flight_info(request(descriptor(&any), token)).await.map(|_| 1)
        }
        Call::PollFlightInfo(any) => {
            client.poll_flight_info(request(descriptor(&any), token)).await.map(|_| 1)
        }
        Call::GetSchema(any) => {
            client.get_schema(request(descriptor(&any), token)).await.map(|_| 1)
        }
        Call::DoGet(any) => {
            let ticket = Ticket { ticket: any.encode_to_vec().into() };
            counted(client.do_get(request(ticket, token)).await?.into_inner()).await
        }
        Call::DoPut(any) => {
            let first = FlightData::new().with_descriptor(descriptor(&any));
            let messages = request(stream::iter([first]), token);
            counted(client.do_put(messages).await?.into_inner()).await
        }
        Call::DoExchange => {
            let messages = request(stream::iter([FlightData::new()]), token);
            counted(client.do_exchange(messages).await?.into_inner()).await
        }
        Call::DoAction(name, any) => {
            let action = Action::new(name, any.encode_to_vec());
            counted(client.do_action(request(action, token)).await?.into_inner()).await
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_answered_without_a_token_that_counts() {
    let users = Users::new();
    let database = small_shop().await;
    let server = TestServer::closed(database.clone(), &users).await;
    // The token of a session that has ended is as bad as one that was never given out.
    let mut ended = server.client_of("admin").await;
    let bad = ended.token().unwrap().clone();
    ended.do_action(Action::new("CloseSession", "")).await.unwrap();
    let tokens = [None, Some("habitue_guess"), Some(bad.as_str()), Some(users.expired.as_str())];
    // Failures make their address wait, so that each token is tried from a few addresses.
    let mut tries = 0_u32;
    for one in calls() {
        for token in tokens {
            let [_, _, third, fourth] = (tries / 6 + 2).to_be_bytes();
            tries += 1;
            let mut client = raw(server.channel_from([127, 1, third, fourth]).await);
            let refused = call(&mut client, one.clone(), token).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{one:?} {token:?}: {refused}");
        }
    }
    assert!(tries > 250, "only {tries} calls were tried");
    assert_eq!(value_of(&database.session(), "SELECT max(version) FROM system.commits").await, "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_changes_only_what_it_may() {
    let users = Users::new();
    let database = small_shop().await;
    let server = TestServer::closed(database.clone(), &users).await;
    let segment = "CREATE SEGMENT mine AS SELECT customer_id FROM events";
    let link = "LINK user_id 'u1' TO user_id 'u2'";
    let cases = [
        (&users.reader, vec![update(INSERT), update(segment), update(link), ingest()]),
        (&users.writer, vec![update(link)]),
    ];
    for (token, commands) in cases {
        for command in commands {
            let mut client = raw(server.channel().await);
            let put = Call::DoPut(command.clone());
            let refused = call(&mut client, put, Some(token)).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{command:?}: {refused}");
            if command.is::<CommandStatementUpdate>() {
                let sql = command.unpack::<CommandStatementUpdate>().unwrap().unwrap().query;
                let others = [
                    Call::GetFlightInfo(query(&sql)),
                    Call::PollFlightInfo(query(&sql)),
                    Call::GetSchema(query(&sql)),
                    Call::DoAction("CreatePreparedStatement", prepare(&sql)),
                ];
                for other in others {
                    let refused = call(&mut client, other.clone(), Some(token)).await.unwrap_err();
                    assert_eq!(refused.code(), Code::PermissionDenied, "{other:?}: {refused}");
                }
            }
        }
    }
    assert_eq!(value_of(&database.session(), "SELECT max(version) FROM system.commits").await, "4");
    let mut client = raw(server.channel().await);
    let allowed = call(&mut client, Call::DoPut(update(link)), Some(&users.admin)).await;
    allowed.unwrap();
}

#[tokio::test]
async fn a_wrong_password_gets_no_token() {
    let users = Users::new();
    let server = TestServer::closed(small_shop().await, &users).await;
    for (user, password) in [("admin", "wrong"), ("nobody", "wrong"), ("", "")] {
        let mut client = FlightSqlServiceClient::new(server.channel().await);
        let error = client.handshake(user, password).await.unwrap_err();
        assert!(error.to_string().contains("access was refused"), "{error}");
        assert!(client.token().is_none());
    }
    let mut client = raw(server.channel().await);
    let nothing = stream::iter([HandshakeRequest::default()]);
    let refused = client.handshake(nothing).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_ticket_or_a_handle_serves_its_owner_alone() {
    let users = Users::new();
    let server = TestServer::closed(small_shop().await, &users).await;
    let mut owner = server.client_of("reader").await;
    let info = owner.execute("SELECT * FROM events".into(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let handle = {
        let prepared = prepare("SELECT * FROM events");
        let action = Action::new("CreatePreparedStatement", prepared.encode_to_vec());
        let mut answer = owner.do_action(action).await.unwrap();
        let body = answer.message().await.unwrap().unwrap().body;
        let any = Any::decode(body).unwrap();
        let result: ActionCreatePreparedStatementResult = any.unpack().unwrap().unwrap();
        CommandPreparedStatementQuery {
            prepared_statement_handle: result.prepared_statement_handle,
        }
    };
    let by_handle = Ticket { ticket: handle.as_any().encode_to_vec().into() };
    let mut thieves = vec![server.client_of("writer").await, server.client_of("admin").await];
    thieves.push(with_token(server.channel().await, &users.reader));
    for mut thief in thieves {
        assert_eq!(code(thief.do_get(ticket.clone()).await), Code::NotFound);
        assert_eq!(code(thief.do_get(by_handle.clone()).await), Code::NotFound);
        let cancel = arrow_flight::CancelFlightInfoRequest::new(info.clone());
        let action = Action::new("CancelFlightInfo", cancel.encode_to_vec());
        assert_eq!(code(thief.do_action(action).await), Code::NotFound);
    }
    // The owner itself may read it over another connection.
    let mut elsewhere = server.client_of("reader").await;
    elsewhere.do_get(ticket).await.unwrap();
    elsewhere.do_get(by_handle).await.unwrap();
}

#[tokio::test]
async fn a_forged_ticket_is_refused() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    for handle in [vec![], vec![0; 16], vec![255; 16], vec![1; 17], b"SELECT 1".to_vec()] {
        let ticket = TicketStatementQuery { statement_handle: handle.into() };
        let ticket = Ticket { ticket: ticket.as_any().encode_to_vec().into() };
        assert_eq!(code(client.do_get(ticket).await), Code::NotFound);
    }
    // A statement is no ticket: what a ticket runs has been looked at before.
    let statement = Ticket { ticket: query("SELECT 1").encode_to_vec().into() };
    assert_eq!(code(client.do_get(statement).await), Code::InvalidArgument);
}

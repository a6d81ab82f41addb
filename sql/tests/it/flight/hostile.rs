//! Bytes that no client of ours sends. Breaks for a user if this fails: a stranger stops the server
//! for everybody.

use crate::flight::server::{TestServer, raw, value};
use crate::small_shop::small_shop;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::*;
use arrow_flight::{Action, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use futures::stream;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message;
use prost::bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};

const ACTIONS: [&str; 9] = [
    "CreatePreparedStatement",
    "ClosePreparedStatement",
    "CancelFlightInfo",
    "CancelQuery",
    "SetSessionOptions",
    "GetSessionOptions",
    "BeginTransaction",
    "CreatePreparedSubstraitPlan",
    "",
];

/// Bytes alone, or under the name of a command, or a command with bytes in its place of a handle.
fn commands() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let names = prop::sample::select(vec![
        CommandStatementQuery::type_url(),
        CommandStatementUpdate::type_url(),
        CommandStatementIngest::type_url(),
        CommandPreparedStatementQuery::type_url(),
        CommandPreparedStatementUpdate::type_url(),
        CommandGetTables::type_url(),
        CommandGetSqlInfo::type_url(),
        CommandGetXdbcTypeInfo::type_url(),
        TicketStatementQuery::type_url(),
        ActionCreatePreparedStatementRequest::type_url(),
        "type.googleapis.com/nobody.knows.This",
    ]);
    let named = (names, bytes()).prop_map(|(name, value)| {
        Any { type_url: name.to_owned(), value: value.into() }.encode_to_vec()
    });
    let text = ".{0,60}".prop_map(|query| {
        CommandStatementQuery { query, transaction_id: None }.as_any().encode_to_vec()
    });
    let pattern = ".{0,20}".prop_map(|pattern| {
        let table_name_filter_pattern = Some(pattern);
        CommandGetTables { table_name_filter_pattern, ..Default::default() }
            .as_any()
            .encode_to_vec()
    });
    let handle = bytes().prop_map(|handle| {
        CommandPreparedStatementUpdate { prepared_statement_handle: handle.into() }
            .as_any()
            .encode_to_vec()
    });
    prop_oneof![bytes(), named, text, pattern, handle]
}

/// Every call that takes bytes, with these; only the status of each answer is looked at.
async fn try_all(
    client: &mut FlightServiceClient<Channel>,
    bytes: &[u8],
    header: &[u8],
    body: &[u8],
) -> Vec<Status> {
    let descriptor = FlightDescriptor::new_cmd(bytes.to_vec());
    let mut refused = Vec::new();
    refused.extend(client.get_flight_info(descriptor.clone()).await.err());
    refused.extend(client.get_schema(descriptor.clone()).await.err());
    refused.extend(client.poll_flight_info(descriptor.clone()).await.err());
    let ticket = Ticket { ticket: Bytes::copy_from_slice(bytes) };
    match client.do_get(ticket).await {
        Ok(answer) => refused.extend(answer.into_inner().message().await.err()),
        Err(status) => refused.push(status),
    }
    let first = FlightData::new().with_descriptor(descriptor);
    let second = FlightData::new().with_data_header(header.to_vec()).with_data_body(body.to_vec());
    let put = client.do_put(stream::iter([first, second])).await;
    refused.extend(put.err());
    for name in ACTIONS {
        let action = Action::new(name, bytes.to_vec());
        refused.extend(client.do_action(action).await.err());
    }
    let hello = HandshakeRequest { protocol_version: 0, payload: Bytes::copy_from_slice(bytes) };
    refused.extend(client.handshake(stream::iter([hello])).await.err());
    refused
}

#[test]
fn no_bytes_stop_the_server() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(async { TestServer::open(small_shop().await).await });
    let client = runtime.block_on(async { raw(server.channel().await) });
    let cases = std::env::var("HABITUE_FLIGHT_CASES").map_or(64, |count| count.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let result = runner.run(&(commands(), bytes(), bytes()), |(command, header, body)| {
        let mut client = client.clone();
        let refused = runtime.block_on(try_all(&mut client, &command, &header, &body));
        for status in refused {
            let fault = matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable);
            prop_assert!(!fault, "{status}");
        }
        Ok(())
    });
    result.unwrap();
    let alive = runtime.block_on(async { value(&mut server.client().await, "SELECT 1").await });
    assert_eq!(alive, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_and_long_statements_are_answered_or_refused() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let long = format!("SELECT 1{}", "+1".repeat(10_000));
    for sql in [deep, long] {
        let refused = crate::flight::server::rows(&mut client, &sql).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert_eq!(value(&mut client, "SELECT 1").await, "1");
}

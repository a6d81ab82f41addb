//! Changes over Flight. Breaks for a user if this fails: a statement runs twice, or not at all.

use crate::flight::server::{Client, TestServer, code, only_value, raw, rows, rows_of, value};
use crate::small_shop::small_shop;
use arrow::array::RecordBatch;
use arrow_flight::sql::{CommandStatementQuery, CommandStatementUpdate, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor, PollInfo};
use futures::stream;
use prost::Message;
use prost::bytes::Bytes;
use tonic::{Code, Request};

const COUNT: &str = "SELECT count(*) FROM events";
const NEWEST: &str = "SELECT max(version) FROM system.commits";

fn insert(id: &str) -> String {
    format!(
        "INSERT INTO events (event_id, ts, event, user_id) \
         VALUES ('{id}', '2026-05-01T00:00:00Z', 'visit', 'u9')"
    )
}

async fn connect() -> (Client, TestServer) {
    let server = TestServer::open(small_shop().await).await;
    (server.client().await, server)
}

#[tokio::test]
async fn a_change_runs_before_its_ticket_is_read_and_only_once() {
    let (mut client, _server) = connect().await;
    let statements = [
        ("CREATE SEGMENT all_people AS SELECT customer_id FROM events", "5"),
        ("REFRESH SEGMENT all_people", "6"),
        (&insert("n1"), "7"),
        ("CREATE IDENTITY NAMESPACE loyalty_card", "8"),
        ("LINK user_id 'u1' TO user_id 'u2'", "9"),
    ];
    for (sql, version) in statements {
        let info = client.execute(sql.to_owned(), None).await.unwrap();
        assert_eq!(value(&mut client, NEWEST).await, version, "{sql}");
        let first = rows_of(&mut client, info.clone()).await.unwrap();
        assert_eq!(first.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "{sql}");
        assert_eq!(value(&mut client, NEWEST).await, version, "{sql}");
        assert_eq!(rows_of(&mut client, info).await.unwrap(), first, "{sql}");
        assert_eq!(value(&mut client, NEWEST).await, version, "{sql} ran twice");
    }
}

#[tokio::test]
async fn an_update_answers_how_many_rows_it_added() {
    let (mut client, _server) = connect().await;
    assert_eq!(client.execute_update(insert("n1"), None).await.unwrap(), 1);
    assert_eq!(client.execute_update(insert("n1"), None).await.unwrap(), 0, "a duplicate");
    let segment = "CREATE SEGMENT s AS SELECT customer_id FROM events";
    assert_eq!(client.execute_update(segment.into(), None).await.unwrap(), -1);
    assert_eq!(client.execute_update("CREATE TABLE t (a INT)".into(), None).await.unwrap(), -1);
    assert_eq!(value(&mut client, COUNT).await, "13");
}

#[tokio::test]
async fn a_failed_change_may_be_tried_again() {
    let (mut client, _server) = connect().await;
    let mut statement = client.prepare("DROP SEGMENT later".into(), None).await.unwrap();
    assert_eq!(code(statement.execute().await), Code::NotFound);
    let segment = "CREATE SEGMENT later AS SELECT customer_id FROM events";
    rows(&mut client, segment).await.unwrap();
    let info = statement.execute().await.unwrap();
    rows_of(&mut client, info).await.unwrap();
    assert_eq!(value(&mut client, "SELECT count(*) FROM system.segments").await, "0");
}

#[tokio::test]
async fn the_identity_commands_and_refreshes_work_over_the_wire() {
    let (mut client, _server) = connect().await;
    rows(
        &mut client,
        "CREATE SEGMENT guests AS SELECT customer_id FROM events WHERE event = 'visit'",
    )
    .await
    .unwrap();
    let members = "SELECT count(*) FROM segment('guests')";
    assert_eq!(value(&mut client, members).await, "4");
    rows(&mut client, "LINK anonymous_id 'd-4' TO user_id 'u3'").await.unwrap();
    rows(&mut client, "REFRESH ALL SEGMENTS").await.unwrap();
    assert_eq!(value(&mut client, members).await, "3");
    rows(&mut client, "UNLINK anonymous_id 'd-4' FROM user_id 'u3'").await.unwrap();
    rows(&mut client, "REFRESH SEGMENT guests").await.unwrap();
    assert_eq!(value(&mut client, members).await, "4");
}

#[tokio::test]
async fn transactions_are_refused_and_not_ignored() {
    let (mut client, server) = connect().await;
    assert_eq!(code(client.begin_transaction().await), Code::Unimplemented);
    let id = Some(Bytes::from_static(b"1"));
    let refused = client.execute("SELECT 1".into(), id.clone()).await;
    assert_eq!(code(refused), Code::Unimplemented);
    assert_eq!(code(client.execute_update(insert("n1"), id.clone()).await), Code::Unimplemented);
    let command = CommandStatementUpdate { query: insert("n2"), transaction_id: id };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let first = FlightData::new().with_descriptor(descriptor);
    let mut other = raw(server.channel().await);
    let refused = other.do_put(Request::new(stream::iter([first]))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(value(&mut client, COUNT).await, "12");
}

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> PollInfo {
    let mut request = Request::new(descriptor);
    let header = format!("Bearer {}", client.token().unwrap()).parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    client.inner_mut().poll_flight_info(request).await.unwrap().into_inner()
}

fn command(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polled_refresh_runs_by_itself_and_once() {
    let (mut client, _server) = connect().await;
    for name in ["a", "b", "c"] {
        let sql = format!("CREATE SEGMENT {name} AS SELECT customer_id FROM events");
        rows(&mut client, &sql).await.unwrap();
    }
    let mut news = poll(&mut client, command("REFRESH ALL SEGMENTS")).await;
    let mut progress = news.progress.unwrap_or(0.0);
    while let Some(again) = news.flight_descriptor.clone() {
        news = poll(&mut client, again).await;
        assert!(news.progress.unwrap_or(0.0) >= progress, "progress went back");
        progress = news.progress.unwrap_or(0.0);
    }
    assert_eq!(news.progress, Some(1.0));
    assert_eq!(value(&mut client, NEWEST).await, "8");
    let batches = rows_of(&mut client, news.info.unwrap()).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    assert_eq!(value(&mut client, NEWEST).await, "8", "it ran twice");
}

#[tokio::test]
async fn a_polled_query_is_answered_at_once() {
    let (mut client, _server) = connect().await;
    let news = poll(&mut client, command(COUNT)).await;
    assert!(news.flight_descriptor.is_none());
    let batches = rows_of(&mut client, news.info.unwrap()).await.unwrap();
    assert_eq!(only_value(&batches), "12");
}

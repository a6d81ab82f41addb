//! Bulk ingestion over Flight. Breaks for a user if this fails: events are lost, doubled, or taken
//! from somebody who may not bring any.

use crate::flight::server::{Client, TestServer, Users, status, value};
use crate::small_shop::small_shop;
use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use futures::{StreamExt, stream};
use habitue_sql::access::{Access, ServerLimits, Turns};
use std::sync::Arc;
use tonic::{Code, Status};

const COUNT: &str = "SELECT count(*) FROM events";
const NEWEST: &str = "SELECT max(version) FROM system.commits";

fn events(first: usize, count: usize) -> RecordBatch {
    let ids = (first..first + count).map(|number| Some(format!("bulk-{number}")));
    let labels: DictionaryArray<Int32Type> = vec!["visit"; count].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(ids.collect::<StringArray>())),
        ("ts", Arc::new(StringArray::from(vec!["2026-07-01T00:00:00Z"; count]))),
        ("event", Arc::new(labels)),
        ("user_id", Arc::new(StringArray::from(vec!["u5"; count]))),
        ("amount", Arc::new(Float64Array::from(vec![1.25; count]))),
        ("shoe_size", Arc::new(Int64Array::from(vec![42; count]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn into(table: &str) -> CommandStatementIngest {
    CommandStatementIngest { table: table.into(), ..Default::default() }
}

async fn ingest(
    client: &mut Client,
    command: CommandStatementIngest,
    batches: Vec<Result<RecordBatch, FlightError>>,
) -> Result<i64, Status> {
    client.execute_ingest(command, stream::iter(batches)).await.map_err(status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_batches_is_one_commit_and_the_same_stream_again_is_none() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let batches = || (0..5).map(|part| Ok(events(part * 1000, 1000))).collect();
    assert_eq!(ingest(&mut client, into("events"), batches()).await.unwrap(), 5000);
    assert_eq!(value(&mut client, NEWEST).await, "5");
    assert_eq!(value(&mut client, COUNT).await, "5012");
    assert_eq!(
        value(&mut client, "SELECT sum(amount) FROM events WHERE user_id = 'u5'").await,
        "6250.0000"
    );
    let property = "SELECT DISTINCT properties->>'shoe_size' FROM events WHERE user_id = 'u5'";
    assert_eq!(value(&mut client, property).await, "42");
    assert_eq!(ingest(&mut client, into("events"), batches()).await.unwrap(), 0);
    assert_eq!(value(&mut client, NEWEST).await, "5");
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_nothing() {
    let limits = ServerLimits { turns: Turns::new(1, 1), ..ServerLimits::default() };
    let server = TestServer::start(small_shop().await, Access::open(), limits, None).await;
    let mut gone = server.client().await;
    let (sent, was_sent) = tokio::sync::oneshot::channel();
    let first = stream::iter([Ok(events(0, 1000))]);
    let then_silence = stream::once(async {
        sent.send(()).unwrap();
        std::future::pending().await
    });
    let batches = first.chain(then_silence);
    let sending = tokio::spawn(async move { gone.execute_ingest(into("events"), batches).await });
    was_sent.await.unwrap();
    sending.abort();
    drop(sending.await);
    // Whoever is served next by a server with one place comes after the end of the ingest.
    let mut client = server.client().await;
    assert_eq!(value(&mut client, NEWEST).await, "4");
    assert_eq!(value(&mut client, COUNT).await, "12");
}

#[tokio::test]
async fn events_are_appended_and_nothing_else() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let with = |if_not_exist: TableNotExistOption, if_exists: TableExistsOption| {
        let options = TableDefinitionOptions {
            if_not_exist: if_not_exist as i32,
            if_exists: if_exists as i32,
        };
        CommandStatementIngest { table_definition_options: Some(options), ..into("events") }
    };
    let append = with(TableNotExistOption::Fail, TableExistsOption::Append);
    assert_eq!(ingest(&mut client, append, vec![Ok(events(0, 3))]).await.unwrap(), 3);
    let place = CommandStatementIngest {
        catalog: Some("habitue".into()),
        schema: Some("main".into()),
        ..into("events")
    };
    assert_eq!(ingest(&mut client, place, vec![Ok(events(3, 3))]).await.unwrap(), 3);
    let refused = [
        (with(TableNotExistOption::Create, TableExistsOption::Fail), Code::AlreadyExists),
        (with(TableNotExistOption::Create, TableExistsOption::Replace), Code::InvalidArgument),
        (into("people"), Code::InvalidArgument),
        (CommandStatementIngest { temporary: true, ..into("events") }, Code::InvalidArgument),
        (
            CommandStatementIngest { schema: Some("system".into()), ..into("events") },
            Code::InvalidArgument,
        ),
        (
            CommandStatementIngest { transaction_id: Some("t".into()), ..into("events") },
            Code::Unimplemented,
        ),
    ];
    for (command, code) in refused {
        let error = ingest(&mut client, command.clone(), vec![Ok(events(6, 3))]).await.unwrap_err();
        assert_eq!(error.code(), code, "{command:?}: {error}");
    }
    assert_eq!(value(&mut client, COUNT).await, "18");
}

#[tokio::test]
async fn a_temporary_table_is_made_appended_to_and_replaced() {
    let server = TestServer::open(small_shop().await).await;
    let mut client = server.client().await;
    let with = |if_exists: TableExistsOption| CommandStatementIngest {
        temporary: true,
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create as i32,
            if_exists: if_exists as i32,
        }),
        ..into("uploaded")
    };
    let rows = || vec![Ok(events(0, 10)), Ok(events(10, 10))];
    let count = "SELECT count(*) FROM uploaded";
    assert_eq!(ingest(&mut client, with(TableExistsOption::Fail), rows()).await.unwrap(), 20);
    assert_eq!(value(&mut client, count).await, "20");
    let again = ingest(&mut client, with(TableExistsOption::Fail), rows()).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert_eq!(ingest(&mut client, with(TableExistsOption::Append), rows()).await.unwrap(), 20);
    assert_eq!(value(&mut client, count).await, "40");
    assert_eq!(ingest(&mut client, with(TableExistsOption::Replace), rows()).await.unwrap(), 20);
    assert_eq!(value(&mut client, count).await, "20");
    let joined = "SELECT count(*) FROM uploaded JOIN events USING (event_id)";
    assert_eq!(value(&mut client, joined).await, "0");
    assert_eq!(value(&mut client, NEWEST).await, "4");
}

#[tokio::test]
async fn a_reader_brings_no_events() {
    let users = Users::new();
    let server = TestServer::closed(small_shop().await, &users).await;
    let mut reader = server.client_of("reader").await;
    let refused = ingest(&mut reader, into("events"), vec![Ok(events(0, 3))]).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut writer = server.client_of("writer").await;
    assert_eq!(ingest(&mut writer, into("events"), vec![Ok(events(0, 3))]).await.unwrap(), 3);
}

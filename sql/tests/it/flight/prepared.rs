//! Prepared statements over Flight. Breaks for a user if this fails: a parameter is taken for
//! another one, or many rows become many commits.

use crate::flight::server::{Client, TestServer, only_value, rows_of, value};
use crate::small_shop::small_shop;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use std::sync::Arc;

async fn connect() -> (Client, TestServer) {
    let server = TestServer::open(small_shop().await).await;
    (server.client().await, server)
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let names = ["a", "b", "c", "d"];
    RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap()
}

#[tokio::test]
async fn both_spellings_of_parameters_take_their_values() {
    let (mut client, _server) = connect().await;
    for sql in [
        "SELECT count(*) FROM events WHERE event = ? AND amount > ?",
        "SELECT count(*) FROM events WHERE amount > $2 AND event = $1",
    ] {
        let mut prepared = client.prepare(sql.into(), None).await.unwrap();
        assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 2, "{sql}");
        assert_eq!(prepared.dataset_schema().unwrap().fields().len(), 1, "{sql}");
        for (least, count) in [(0, "3"), (20, "2"), (50, "1"), (100, "0")] {
            let amounts: ArrayRef = Arc::new(Int64Array::from(vec![least]));
            prepared.set_parameters(batch(vec![texts(&["purchase"]), amounts])).unwrap();
            let info = prepared.execute().await.unwrap();
            assert_eq!(only_value(&rows_of(&mut client, info).await.unwrap()), count, "{sql}");
        }
        prepared.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_query_runs_for_every_row_of_values() {
    let (mut client, _server) = connect().await;
    let sql = "SELECT $1 AS event, count(*) AS n FROM events WHERE event = $1";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    prepared.set_parameters(batch(vec![texts(&["visit", "purchase", "nothing"])])).unwrap();
    let info = prepared.execute().await.unwrap();
    let batches = rows_of(&mut client, info).await.unwrap();
    let counts: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            let column = batch.column(1).clone();
            (0..batch.num_rows())
                .map(move |row| arrow::util::display::array_value_to_string(&column, row).unwrap())
        })
        .collect();
    assert_eq!(counts, ["5", "3", "0"], "{}", pretty_format_batches(&batches).unwrap());
}

#[tokio::test]
async fn many_rows_are_inserted_as_one_commit() {
    let (mut client, _server) = connect().await;
    let sql = "INSERT INTO events (event_id, ts, event, user_id) VALUES (?, ?, ?, ?)";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    assert!(prepared.dataset_schema().unwrap().fields().is_empty());
    let ids: Vec<String> = (0..1000).map(|number| format!("many-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let values = batch(vec![
        texts(&ids),
        texts(&["2026-06-01T00:00:00Z"; 1000]),
        texts(&["visit"; 1000]),
        texts(&["u77"; 1000]),
    ]);
    prepared.set_parameters(values.clone()).unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 1000);
    let version = "SELECT max(version) FROM system.commits";
    assert_eq!(value(&mut client, version).await, "5");
    prepared.set_parameters(values).unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 0, "all are duplicates");
    assert_eq!(value(&mut client, version).await, "5");
    assert_eq!(value(&mut client, "SELECT count(*) FROM events").await, "1012");
}

#[tokio::test]
async fn a_temporary_table_takes_many_rows() {
    let (mut client, _server) = connect().await;
    client.execute_update("CREATE TABLE t (a BIGINT, b VARCHAR)".into(), None).await.unwrap();
    let sql = "INSERT INTO t VALUES ($1, $2)";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    prepared.set_parameters(batch(vec![numbers, texts(&["x", "y", "z"])])).unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 3);
    let sum = "SELECT sum(a) || max(b) || count(*) FROM t";
    assert_eq!(value(&mut client, sum).await, "4z3");
}

#[tokio::test]
async fn a_prepared_change_runs_once_for_each_execution() {
    let (mut client, _server) = connect().await;
    let sql = "CREATE SEGMENT s AS SELECT customer_id FROM events";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    let info = prepared.execute().await.unwrap();
    assert_eq!(value(&mut client, "SELECT count(*) FROM system.segments").await, "1");
    rows_of(&mut client, info.clone()).await.unwrap();
    rows_of(&mut client, info).await.unwrap();
    let versions = "SELECT count(*) FROM system.segment_versions";
    assert_eq!(value(&mut client, versions).await, "1");
}

#[tokio::test]
async fn a_prepared_query_reads_the_newest_version_each_time() {
    let (mut client, _server) = connect().await;
    let sql = "SELECT count(*) FROM events";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    for expected in ["12", "13"] {
        let info = prepared.execute().await.unwrap();
        assert_eq!(only_value(&rows_of(&mut client, info).await.unwrap()), expected);
        let insert = "INSERT INTO events (event_id, ts, event) VALUES ('n', now(), 'visit')";
        client.execute_update(insert.into(), None).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_numbers_of_values_are_refused() {
    let (mut client, _server) = connect().await;
    let sql = "SELECT count(*) FROM events WHERE event = $1 AND user_id = $2";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    let error = prepared.execute().await.unwrap_err().to_string();
    assert!(error.contains("2 parameters are wanted, none is bound"), "{error}");
    prepared.set_parameters(batch(vec![texts(&["visit"])])).unwrap();
    let error = prepared.execute().await.unwrap_err().to_string();
    assert!(error.contains("2 parameters are wanted, 1 columns"), "{error}");
    prepared.set_parameters(batch(vec![texts(&["visit"]), texts(&["u3"])])).unwrap();
    let info = prepared.execute().await.unwrap();
    assert_eq!(only_value(&rows_of(&mut client, info).await.unwrap()), "1");
}

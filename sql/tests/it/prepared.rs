//! Prepared statements. Breaks for a user if this fails: a tool binds a value and gets another
//! answer, or columns other than the announced ones.

use crate::small_shop::{small_shop, value_of};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::ScalarValue;
use habitue_sql::{Effect, Session};
use std::sync::Arc;

async fn answer(session: &Session, sql: &str, values: Vec<ScalarValue>) -> String {
    let prepared = session.prepare(sql).await.unwrap();
    let answer = prepared.run(values).await.unwrap();
    assert_eq!(&answer.schema, prepared.schema(), "{sql}");
    let batches = answer.collect().await.unwrap();
    for batch in &batches {
        assert_eq!(&batch.schema(), prepared.schema(), "{sql}");
    }
    pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn values_take_the_places_of_question_marks_in_order() {
    let session = small_shop().await.session();
    let sql = "SELECT event_id FROM events WHERE event = ? AND amount > ? ORDER BY event_id";
    let prepared = session.prepare(sql).await.unwrap();
    let types = prepared.parameters().iter().map(|parameter| parameter.data_type.clone());
    let types = types.collect::<Vec<_>>();
    assert!(matches!(types[0], Some(DataType::Utf8View | DataType::Utf8)), "{types:?}");
    assert!(matches!(types[1], Some(DataType::Decimal128(..))), "{types:?}");
    let rows = answer(&session, sql, vec!["purchase".into(), ScalarValue::Float64(Some(6.0))]);
    let rows = rows.await;
    assert!(rows.contains("e4") && rows.contains("e8") && !rows.contains("e6"), "{rows}");
}

#[tokio::test]
async fn what_is_announced_is_what_comes() {
    let session = small_shop().await.session();
    for sql in [
        "SELECT count(*), min(ts), max(amount), 1 AS one, NULL AS nothing FROM events",
        "SELECT customer_id, event, properties FROM events ORDER BY event_id",
        "SELECT event, count(DISTINCT customer_id) FROM events GROUP BY event",
        "SELECT * FROM customers",
        "SELECT * FROM system.commits",
        "SELECT * FROM funnel(events, event = 'visit', event = 'purchase', \
         within => INTERVAL '7' DAY)",
        "SELECT 1 UNION ALL SELECT NULL",
        "EXPLAIN SELECT 1",
        "SHOW SEGMENTS",
        "SHOW TABLES",
        "SELECT * FROM events WHERE false",
    ] {
        answer(&session, sql, Vec::new()).await;
        assert!(session.prepare(sql).await.unwrap().answers_rows(), "{sql}");
    }
}

#[tokio::test]
async fn each_run_reads_the_newest_version() {
    let session = small_shop().await.session();
    let prepared = session.prepare("SELECT count(*) FROM events").await.unwrap();
    let insert = "INSERT INTO events (event_id, ts, event, user_id) VALUES (?, ?, ?, ?)";
    let insert = session.prepare(insert).await.unwrap();
    assert_eq!((insert.effect(), insert.answers_rows()), (Effect::InsertEvents, false));
    let values = ["n1", "2026-04-01T00:00:00Z", "visit", "u7"].map(ScalarValue::from).to_vec();
    assert_eq!(insert.run(values.clone()).await.unwrap().rows_added, Some(1));
    assert_eq!(insert.run(values).await.unwrap().rows_added, Some(0));
    let rows = prepared.run(Vec::new()).await.unwrap().collect().await.unwrap();
    assert!(pretty_format_batches(&rows).unwrap().to_string().contains("13"));
}

fn rows(count: i64) -> RecordBatch {
    let ids = StringArray::from_iter_values((0..count).map(|row| format!("many-{row}")));
    let users = Int64Array::from_iter_values(0..count);
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("user", Arc::new(users))];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn many_rows_of_values_are_one_commit() {
    let session = small_shop().await.session();
    for (sql, count) in [
        (
            "INSERT INTO events (event_id, ts, event, user_id) \
             VALUES ($1, TIMESTAMP '2026-05-01', 'vis' || 'it', CAST($2 AS VARCHAR))",
            200,
        ),
        (
            "INSERT INTO events SELECT 'again-' || ? AS event_id, TIMESTAMP '2026-05-02' AS ts, \
             'visit' AS event, CAST(? AS VARCHAR) AS user_id",
            3,
        ),
    ] {
        let before: u64 =
            value_of(&session, "SELECT max(version) FROM system.commits").await.parse().unwrap();
        let prepared = session.prepare(sql).await.unwrap();
        let added = prepared.run_rows(&rows(count)).await.unwrap();
        assert_eq!(added, Some(count.unsigned_abs()), "{sql}");
        let after = value_of(&session, "SELECT max(version) FROM system.commits").await;
        assert_eq!(after, (before + 1).to_string(), "{sql}");
    }
    let many = "SELECT count(DISTINCT user_id) FROM events WHERE event_id LIKE 'many-%'";
    assert_eq!(value_of(&session, many).await, "200");
}

#[tokio::test]
async fn a_statement_is_not_run_when_it_is_prepared() {
    let session = small_shop().await.session();
    for sql in [
        "CREATE SEGMENT s AS SELECT customer_id FROM events",
        "INSERT INTO events (event_id, ts, event) VALUES ('x', '2026-01-01', 'visit')",
        "SET habitue.as_of_version = 1",
        "CREATE TABLE mine AS SELECT 1 AS a",
    ] {
        session.prepare(sql).await.unwrap();
    }
    assert_eq!(value_of(&session, "SELECT count(*) FROM events").await, "12");
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.segments").await, "0");
    assert!(session.run("SELECT * FROM mine").await.is_err());
}

#[tokio::test]
async fn a_wrong_number_of_values_is_refused() {
    let session = small_shop().await.session();
    let prepared = session.prepare("SELECT $2 + 1, $1").await.unwrap();
    let Err(error) = prepared.run(vec![1_i64.into()]).await else { panic!("not refused") };
    assert!(error.to_string().contains("2 are wanted, 1 came"), "{error}");
    let Err(error) = session.prepare("SELECT 1; SELECT 2").await else { panic!("not refused") };
    assert!(error.to_string().contains("one statement is wanted, 2 came"), "{error}");
    let Err(error) = session.prepare("SELECT $name").await else { panic!("not refused") };
    assert!(error.to_string().contains("'$name'"), "{error}");
}

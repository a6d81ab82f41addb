//! Rights and limits of a session. Breaks for a user if this fails: a reader writes, or one query
//! takes the server from everybody.

use crate::small_shop::{error_of, rows_of, small_shop, table_of, value_of};
use habitue_sql::{Effect, Error, Rights, Session, SessionOptions};
use std::time::Duration;

const STATEMENTS: [(&str, Effect); 14] = [
    ("SELECT 1", Effect::Read),
    ("SHOW SEGMENTS", Effect::Read),
    ("EXPLAIN CREATE SEGMENT s AS SELECT customer_id FROM events", Effect::Read),
    ("SET habitue.pruning = off", Effect::Session),
    ("CREATE VIEW v AS SELECT 1", Effect::Session),
    ("INSERT INTO events (event_id, ts, event) VALUES ('n', now(), 'visit')", Effect::InsertEvents),
    ("CREATE SEGMENT s AS SELECT customer_id FROM events", Effect::ChangeSegments),
    ("REFRESH ALL SEGMENTS", Effect::ChangeSegments),
    ("DROP SEGMENT IF EXISTS s", Effect::ChangeSegments),
    ("LINK user_id 'u1' TO user_id 'u2'", Effect::ChangeIdentities),
    ("REBUILD IDENTITIES", Effect::ChangeIdentities),
    ("CREATE IDENTITY NAMESPACE phone", Effect::ChangeIdentities),
    ("COPY (SELECT 1) TO '/tmp/never.parquet'", Effect::Files),
    ("EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/never.parquet'", Effect::Files),
];

async fn session_of(options: SessionOptions) -> Session {
    small_shop().await.session_with(options)
}

#[tokio::test]
async fn a_statement_without_the_right_is_refused_before_it_runs() {
    let rights = Rights::of(&[Effect::Read]);
    let session = session_of(SessionOptions { rights, ..SessionOptions::default() }).await;
    for (sql, effect) in STATEMENTS {
        let ran = session.run(sql).await;
        match effect {
            Effect::Read => assert!(ran.is_ok(), "{sql}"),
            _ => assert!(matches!(ran, Err(Error::NoRight { .. })), "{sql}"),
        }
        let prepared = session.prepare(sql).await;
        assert_eq!(prepared.is_ok(), effect == Effect::Read, "{sql}");
    }
    assert_eq!(value_of(&session, "SELECT max(version) FROM system.commits").await, "4");
}

#[tokio::test]
async fn every_right_alone_allows_its_statements() {
    let database = small_shop().await;
    for (sql, effect) in STATEMENTS {
        let rights = Rights::of(&[effect]);
        let options = SessionOptions { rights, ..SessionOptions::default() };
        let ran = database.session_with(options).run(sql).await;
        assert!(!matches!(ran, Err(Error::NoRight { .. })), "{sql}");
    }
}

#[tokio::test]
async fn a_file_cannot_be_read_without_the_right() {
    let rights = Rights::of(&[Effect::Read, Effect::Session]);
    let session = session_of(SessionOptions { rights, ..SessionOptions::default() }).await;
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'file:///etc/hosts.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/never.csv'",
    ] {
        assert!(rows_of(&session, sql).await.is_err(), "{sql}");
    }
}

/// Much work on a few batches of the right side, by each of the engine's ways to join.
const ENDLESS_JOINS: [(&str, &str); 4] = [
    (
        "CrossJoinExec",
        "SELECT sum(a.value * b.value) FROM generate_series(1, 300000) a \
         CROSS JOIN generate_series(1, 10000000000) b",
    ),
    (
        "HashJoinExec",
        "SELECT sum(a.value * b.value) FROM generate_series(1, 300000) a \
         JOIN generate_series(1, 10000000000) b ON a.value / 10000000000 = b.value / 10000000000",
    ),
    (
        "NestedLoopJoinExec",
        "SELECT sum(a.value * b.value) FROM generate_series(1, 300000) a \
         JOIN generate_series(1, 10000000000) b ON a.value * b.value > 0",
    ),
    (
        "SortMergeJoinExec",
        "SELECT sum(a.value * b.value) FROM generate_series(1, 100000) a \
         JOIN generate_series(1, 100000) b ON a.value / 10000000000 = b.value / 10000000000",
    ),
];

// If this fails, the join goes on for hours and so does this test.
#[tokio::test]
async fn a_join_that_makes_much_of_little_ends_at_its_deadline() {
    let statement_time_max = Some(Duration::from_millis(300));
    let session = session_of(SessionOptions { statement_time_max, ..Default::default() }).await;
    for (join, sql) in ENDLESS_JOINS {
        let hashed = join != "SortMergeJoinExec";
        let setting = format!("SET datafusion.optimizer.prefer_hash_join = {hashed}");
        rows_of(&session, &setting).await.unwrap();
        let plan = table_of(&session, &format!("EXPLAIN {sql}")).await;
        assert!(plan.contains(join), "{plan}");
        let error = error_of(&session, sql).await;
        assert!(error.contains("longer than the limit of 300ms"), "{join}: {error}");
    }
}

#[tokio::test]
async fn a_query_ends_at_its_deadline() {
    let statement_time_max = Some(Duration::from_millis(50));
    let session = session_of(SessionOptions { statement_time_max, ..Default::default() }).await;
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000)";
    let error = error_of(&session, endless).await;
    assert!(error.contains("longer than the limit of 50ms"), "{error}");
    let segment = "CREATE SEGMENT s AS SELECT value AS customer_id \
                   FROM generate_series(1, 100000000000) WHERE value < 0";
    let error = error_of(&session, segment).await;
    assert!(error.contains("longer than the limit of 50ms"), "{error}");
}

#[tokio::test]
async fn an_answer_with_too_many_rows_is_an_error_and_not_a_part_of_it() {
    let session = session_of(SessionOptions { rows_max: Some(12), ..Default::default() }).await;
    let all = rows_of(&session, "SELECT event_id FROM events").await.unwrap();
    assert_eq!(all.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 12);
    let error = error_of(&session, "SELECT * FROM generate_series(1, 13)").await;
    assert!(error.contains("more rows than the limit of 12"), "{error}");
}

#[tokio::test]
async fn a_session_cannot_take_more_memory_than_its_own() {
    let database = small_shop().await;
    let memory_bytes_max = Some(1 << 20);
    let small = database.session_with(SessionOptions { memory_bytes_max, ..Default::default() });
    let heavy = "SELECT count(*) FROM (SELECT value, count(*) FROM generate_series(1, 200000) \
                 GROUP BY value)";
    rows_of(&small, "SET datafusion.execution.target_partitions = 1").await.unwrap();
    let error = rows_of(&small, "SELECT array_agg(value) FROM generate_series(1, 2000000)").await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("session_limit=1048576"), "{error}");
    assert_eq!(value_of(&database.session(), heavy).await, "200000");
}

//! Twelve events of four people, in three commits, for tests whose answers are known by heart.

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use habitue_sql::{Database, DatabaseOptions, LocalFiles, Result, Session};
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::store::Store;

const COLUMNS: &str = "(event_id, ts, event, user_id, anonymous_id, email, amount, properties)";

/// Ada (u1, d-1, ada@example.com), u2 (d-2), u3 (d-3), somebody on d-4, and nobody.
const COMMITS: [&str; 3] = [
    r#"VALUES
    ('e1', '2026-01-01T10:00:00Z', 'visit', NULL, 'd-1', NULL, NULL, NULL),
    ('e2', '2026-01-01T10:05:00Z', 'signup', 'u1', 'd-1', 'ada@example.com', NULL, NULL),
    ('e3', '2026-01-01T10:06:00Z', '$identify', 'u1', NULL, 'Ada@example.com', NULL,
        '{"name":"Ada","city":"Bonn"}'),
    ('e4', '2026-01-02T09:00:00Z', 'purchase', 'u1', NULL, NULL, '30.00', '{"items":2}'),
    ('e5', '2026-01-03T12:00:00Z', 'visit', NULL, 'd-2', NULL, NULL, NULL),
    ('e6', '2026-01-03T12:10:00Z', 'purchase', 'u2', 'd-2', NULL, '5.50', NULL),
    ('e7', '2026-01-04T08:00:00Z', 'visit', NULL, NULL, NULL, NULL, NULL)"#,
    r#"VALUES
    ('e8', '2026-02-01T10:00:00Z', 'purchase', 'u1', NULL, NULL, '70.00', NULL),
    ('e9', '2026-02-02T10:00:00Z', 'visit', 'u3', 'd-3', NULL, NULL, NULL),
    ('e10', '2026-02-02T11:00:00Z', '$identify', 'u1', NULL, NULL, NULL,
        '{"city":"Köln","vip":true}')"#,
    r#"VALUES
    ('e11', '2026-03-01T10:00:00Z', 'refund', 'u2', NULL, NULL, '-5.50', NULL),
    ('e12', '2026-03-05T10:00:00Z', 'visit', NULL, 'd-4', NULL, NULL, NULL)"#,
];

/// An empty database in memory.
pub async fn empty_database(local_files: LocalFiles) -> Database {
    let bucket = Bucket::open("memory://").await.unwrap();
    let store = Store::create(bucket, Catalog::default()).await.unwrap();
    let options = DatabaseOptions {
        memory_bytes_max: 256 << 20,
        threads: 2,
        local_files,
        ..DatabaseOptions::default()
    };
    Database::new(store, options).unwrap()
}

/// The small shop: version 1 is empty, the commits are versions 2, 3 and 4.
pub async fn small_shop() -> Database {
    let database = empty_database(LocalFiles::Refused).await;
    for commit in COMMITS {
        insert(&database.session(), commit).await;
    }
    database
}

/// Inserts rows of [`COLUMNS`].
pub async fn insert(session: &Session, rows: &str) {
    rows_of(session, &format!("INSERT INTO events {COLUMNS} {rows}")).await.unwrap();
}

/// The rows that a statement answers.
pub async fn rows_of(session: &Session, sql: &str) -> Result<Vec<RecordBatch>> {
    session.run(sql).await?.collect().await
}

/// The rows that a statement answers, as a table.
pub async fn table_of(session: &Session, sql: &str) -> String {
    let rows = rows_of(session, sql).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    pretty_format_batches(&rows).unwrap().to_string()
}

/// The only value that a query answers.
pub async fn value_of(session: &Session, sql: &str) -> String {
    let rows = rows_of(session, sql).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
    assert_eq!((rows.num_rows(), rows.num_columns()), (1, 1), "{sql}");
    arrow::util::display::array_value_to_string(rows.column(0), 0).unwrap()
}

/// What a statement is refused with.
pub async fn error_of(session: &Session, sql: &str) -> String {
    match rows_of(session, sql).await {
        Ok(_) => panic!("{sql} was not refused"),
        Err(error) => error.to_string(),
    }
}

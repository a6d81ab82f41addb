//! Reading events. Breaks for a user if this fails: ordinary SQL over events is wrong or dies.

use crate::small_shop::{empty_database, error_of, rows_of, small_shop, value_of};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use habitue_sql::LocalFiles;

#[tokio::test]
async fn an_empty_database_answers() {
    let session = empty_database(LocalFiles::Refused).await.session();
    assert_eq!(value_of(&session, "SELECT count(*) FROM events").await, "0");
    assert_eq!(value_of(&session, "SELECT count(*) FROM customers").await, "0");
    assert_eq!(value_of(&session, "SELECT sum(amount) FROM events").await, "");
}

#[tokio::test]
async fn people_are_followed_over_their_identifiers() {
    let session = small_shop().await.session();
    let ada = "customer_id = customer_of('email', ' ADA@example.com ')";
    let count = format!("SELECT count(*) FROM events WHERE {ada}");
    assert_eq!(value_of(&session, &count).await, "6");
    let spent = format!("SELECT sum(amount) FROM events WHERE {ada}");
    assert_eq!(value_of(&session, &spent).await, "100.0000");
    assert_eq!(value_of(&session, "SELECT count(DISTINCT customer_id) FROM events").await, "4");
    let nobody = "SELECT count(*) FROM events WHERE customer_id IS NULL";
    assert_eq!(value_of(&session, nobody).await, "1");
}

#[tokio::test]
async fn text_columns_work_in_every_place() {
    let session = small_shop().await.session();
    for (sql, expected) in [
        ("SELECT count(*) FROM (SELECT event, channel FROM events GROUP BY 1, 2)", "5"),
        ("SELECT count(*) FROM events WHERE event LIKE 'purch%'", "3"),
        ("SELECT count(*) FROM events WHERE coalesce(channel, 'none') = 'none'", "12"),
        ("SELECT max(CASE WHEN event = 'visit' THEN event ELSE user_id END) FROM events", "visit"),
        ("SELECT count(*) FROM events a JOIN events b ON a.event = b.event", "40"),
        ("SELECT count(*) FROM events WHERE upper(event) IN ('VISIT', 'REFUND')", "6"),
        (
            "SELECT string_agg(event, '/' ORDER BY ts) FROM events WHERE user_id = 'u2'",
            "purchase/refund",
        ),
        ("SELECT json_get_int(properties, 'items') FROM events WHERE event_id = 'e4'", "2"),
        ("SELECT properties->>'city' FROM events WHERE event_id = 'e10'", "Köln"),
    ] {
        assert_eq!(value_of(&session, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn times_are_compared_however_they_are_written() {
    let session = small_shop().await.session();
    for condition in [
        "ts >= '2026-02-01'",
        "ts >= TIMESTAMP '2026-02-01 00:00:00'",
        "ts >= DATE '2026-02-01'",
        "date_trunc('month', ts) >= '2026-02-01'",
        "ts >= to_timestamp('2026-02-01T00:00:00Z')",
    ] {
        let sql = format!("SELECT count(*) FROM events WHERE {condition}");
        assert_eq!(value_of(&session, &sql).await, "5", "{condition}");
    }
}

#[tokio::test]
async fn views_follow_the_newest_version() {
    let session = small_shop().await.session();
    rows_of(&session, "CREATE VIEW sales AS SELECT * FROM events WHERE event = 'purchase'")
        .await
        .unwrap();
    assert_eq!(value_of(&session, "SELECT count(*) FROM sales").await, "3");
    let insert =
        "INSERT INTO events SELECT '2026-04-01' AS ts, 'purchase' AS event, 'u9' AS user_id";
    rows_of(&session, insert).await.unwrap();
    assert_eq!(value_of(&session, "SELECT count(*) FROM sales").await, "4");
    rows_of(&session, "DROP VIEW sales").await.unwrap();
    assert!(error_of(&session, "SELECT * FROM sales").await.contains("does not exist"));
}

#[tokio::test]
async fn a_view_that_reads_itself_is_refused() {
    let session = small_shop().await.session();
    rows_of(&session, "CREATE VIEW a AS SELECT 1 AS n").await.unwrap();
    rows_of(&session, "CREATE OR REPLACE VIEW a AS SELECT * FROM a").await.unwrap();
    assert!(error_of(&session, "SELECT * FROM a").await.contains("reads itself"));
}

#[tokio::test]
async fn temporary_tables_stay_with_the_session() {
    let database = small_shop().await;
    let session = database.session();
    rows_of(&session, "CREATE TABLE vips AS SELECT 'u1' AS user_id").await.unwrap();
    let joined = "SELECT count(*) FROM events JOIN vips USING (user_id)";
    assert_eq!(value_of(&session, joined).await, "5");
    assert!(error_of(&database.session(), joined).await.contains("table 'vips' does not exist"));
}

#[tokio::test]
async fn every_table_can_be_read() {
    let session = small_shop().await.session();
    let tables = "SELECT table_schema, table_name FROM information_schema.tables \
                  WHERE table_schema IN ('main', 'system')";
    for batch in rows_of(&session, tables).await.unwrap() {
        for row in 0..batch.num_rows() {
            let cell = |column| {
                arrow::util::display::array_value_to_string(batch.column(column), row).unwrap()
            };
            let sql = format!("SELECT * FROM {}.{}", cell(0), cell(1));
            rows_of(&session, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'customers'";
    assert_eq!(value_of(&session, columns).await, "7");
}

// Breaks for a user if this fails: ORDER BY fails, or sorts by something else.
#[tokio::test]
async fn any_column_can_be_sorted_by_whether_it_is_selected_or_not() {
    let session = small_shop().await.session();
    for (sql, expected) in [
        ("SELECT customer_id FROM events ORDER BY ts DESC, event_id LIMIT 2", "first"),
        ("SELECT event, properties FROM events ORDER BY customer_id DESC, event_id", "all"),
        ("SELECT customer_id, event, properties FROM events ORDER BY event_id", "all"),
        ("SELECT amount FROM events ORDER BY properties, customer_id, event_id LIMIT 3", "first"),
    ] {
        let rows = rows_of(&session, sql).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let count: usize = rows.iter().map(arrow::array::RecordBatch::num_rows).sum();
        assert_eq!(count == 12, expected == "all", "{sql}");
    }
    let by_customer = "SELECT customer_id FROM events ORDER BY customer_id NULLS LAST, properties";
    let mut customers = Vec::new();
    for batch in rows_of(&session, by_customer).await.unwrap() {
        customers.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
    }
    assert!(customers.is_sorted() && customers.len() == 11, "{customers:?}");
}

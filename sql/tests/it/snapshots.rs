//! Versions. Breaks for a user if this fails: a query sees half a commit, or the past changes.

use crate::small_shop::{error_of, insert, rows_of, small_shop, value_of};

const COUNT: &str = "SELECT count(*) FROM events";

#[tokio::test]
async fn a_query_that_runs_does_not_see_later_commits() {
    let session = small_shop().await.session();
    let answer = session.run("SELECT event_id FROM events").await.unwrap();
    insert(&session, "VALUES ('late', '2026-04-01', 'visit', 'u9', NULL, NULL, NULL, NULL)").await;
    let rows = answer.collect().await.unwrap();
    assert_eq!(rows.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 12);
    assert_eq!(value_of(&session, COUNT).await, "13");
}

#[tokio::test]
async fn a_session_reads_the_version_that_it_asks_for() {
    let session = small_shop().await.session();
    for (setting, expected) in [
        ("SET habitue.as_of_version = 2", "7"),
        ("SET habitue.as_of_version = 3", "10"),
        ("SET habitue.as_of_version = newest", "12"),
        ("SET habitue.as_of_version = 1", "0"),
        ("RESET habitue.as_of_version", "12"),
        ("SET habitue.as_of_timestamp = '2100-01-01'", "12"),
    ] {
        rows_of(&session, setting).await.unwrap_or_else(|error| panic!("{setting}: {error}"));
        assert_eq!(value_of(&session, COUNT).await, expected, "{setting}");
    }
}

#[tokio::test]
async fn a_version_that_is_not_there_is_refused_and_the_session_lives() {
    let session = small_shop().await.session();
    let error = error_of(&session, "SET habitue.as_of_version = 99").await;
    assert!(error.contains("version is not available. version=99"), "{error}");
    assert_eq!(value_of(&session, COUNT).await, "12");
}

#[tokio::test]
async fn who_reads_the_past_cannot_write() {
    let session = small_shop().await.session();
    rows_of(&session, "SET habitue.as_of_version = 2").await.unwrap();
    let error = error_of(&session, "CREATE SEGMENT a AS SELECT customer_id FROM events").await;
    assert!(error.contains("reads an earlier version"), "{error}");
}

#[tokio::test]
async fn versions_can_be_compared_in_one_query() {
    let session = small_shop().await.session();
    let new = "SELECT count(*) FROM events WHERE event_id NOT IN \
               (SELECT event_id FROM events_at(3))";
    assert_eq!(value_of(&session, new).await, "2");
    let then = "SELECT count(*) FROM events_at(TIMESTAMP '2100-01-01 00:00:00')";
    assert_eq!(value_of(&session, then).await, "12");
}

#[tokio::test]
async fn the_same_rows_again_change_nothing() {
    let session = small_shop().await.session();
    let again = "INSERT INTO events SELECT event_id, ts, event, user_id FROM events";
    let message = value_of(&session, again).await;
    assert!(message.contains("nothing changed"), "{message}");
    assert_eq!(value_of(&session, COUNT).await, "12");
}

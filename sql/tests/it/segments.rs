//! The life of segments.

use crate::small_shop::{error_of, insert, rows_of, small_shop, table_of, value_of};
use habitue_sql::Session;

const BUYERS: &str = "CREATE SEGMENT buyers COMMENT 'who bought' AS \
                      SELECT customer_id FROM events WHERE event = 'purchase'";
const RICH: &str = "CREATE SEGMENT rich AS SELECT customer_id FROM events \
                    WHERE in_segment(customer_id, 'buyers') GROUP BY 1 HAVING sum(amount) > 50";

async fn run(session: &Session, sql: &str) {
    rows_of(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn size(session: &Session, segment: &str) -> String {
    value_of(session, &format!("SELECT count(*) FROM segment('{segment}')")).await
}

#[tokio::test]
async fn a_refresh_says_who_entered_and_who_left() {
    let session = small_shop().await.session();
    run(&session, BUYERS).await;
    assert_eq!(size(&session, "buyers").await, "2");
    insert(&session, "VALUES ('n1', '2026-04-01', 'purchase', 'u3', NULL, NULL, '1', NULL)").await;
    assert_eq!(size(&session, "buyers").await, "2");
    run(&session, "REFRESH SEGMENT buyers").await;
    assert_eq!(size(&session, "buyers").await, "3");
    let changed = "SELECT change || ' ' || version FROM segment_changes('buyers', 1) \
                   WHERE customer_id = customer_of('user_id', 'u3')";
    assert_eq!(value_of(&session, changed).await, "entered 2");
}

// If this fails, sets of customers that are combined are not the segments that were named.
#[tokio::test]
async fn the_bitmap_of_a_segment_is_that_of_its_rows() {
    let session = small_shop().await.session();
    run(&session, BUYERS).await;
    run(&session, "CREATE SEGMENT nobody AS SELECT customer_id FROM events WHERE false").await;
    insert(&session, "VALUES ('n1', '2026-04-01', 'purchase', 'u3', NULL, NULL, '1', NULL)").await;
    run(&session, "REFRESH SEGMENT buyers").await;
    for (rows, is_taken) in [
        ("segment('buyers')", true),
        ("segment('buyers', 1)", true),
        ("segment('nobody')", true),
        ("(SELECT customer_id FROM segment('buyers') LIMIT 1)", false),
        ("segment('buyers') WHERE customer_id > 1", false),
    ] {
        let taken = format!("SELECT bitmap_agg(customer_id) FROM {rows}");
        let plan = table_of(&session, &format!("EXPLAIN {taken}")).await;
        assert_eq!(plan.contains("as one bitmap"), is_taken, "{rows}\n{plan}");
        let computed = format!("SELECT bitmap_agg(customer_id + 0) FROM {rows}");
        assert_eq!(value_of(&session, &taken).await, value_of(&session, &computed).await, "{rows}");
    }
    let filtered = "SELECT bitmap_count(bitmap_agg(customer_id) FILTER (WHERE customer_id < 0)) \
                    FROM segment('buyers')";
    assert_eq!(value_of(&session, filtered).await, "0");
}

#[tokio::test]
async fn a_segment_comes_and_goes_in_one_commit() {
    let session = small_shop().await.session();
    let newest = "SELECT max(version) FROM system.commits";
    for (sql, version) in [
        (BUYERS.to_owned(), "5"),
        (BUYERS.replace("CREATE", "CREATE OR REPLACE"), "6"),
        ("DROP SEGMENT buyers".to_owned(), "7"),
    ] {
        run(&session, &sql).await;
        assert_eq!(value_of(&session, newest).await, version, "{sql}");
    }
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.segment_versions").await, "0");
}

#[tokio::test]
async fn of_two_who_create_a_segment_at_once_one_is_refused() {
    let database = small_shop().await;
    let sessions = [database.session(), database.session()];
    let [one, other] = sessions.each_ref().map(|session| rows_of(session, BUYERS));
    let (one, other) = tokio::join!(one, other);
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let refused = one.and(other).unwrap_err().to_string();
    assert!(refused.contains("'buyers' exists already"), "{refused}");
    assert_eq!(
        value_of(&sessions[0], "SELECT max(version) FROM system.segment_versions").await,
        "1"
    );
}

#[tokio::test]
async fn segments_that_read_segments_are_refreshed_after_them() {
    let session = small_shop().await.session();
    run(&session, BUYERS).await;
    run(&session, RICH).await;
    assert_eq!(size(&session, "rich").await, "1");
    insert(&session, "VALUES ('n1', '2026-04-01', 'purchase', 'u3', NULL, NULL, '99', NULL)").await;
    let versions_before = value_of(&session, "SELECT max(version) FROM system.commits").await;
    run(&session, "REFRESH ALL SEGMENTS").await;
    assert_eq!(size(&session, "rich").await, "2");
    let versions_after = value_of(&session, "SELECT max(version) FROM system.commits").await;
    let before: u64 = versions_before.parse().unwrap();
    assert_eq!(versions_after, (before + 1).to_string(), "one commit for all segments");
}

#[tokio::test]
async fn a_static_segment_keeps_its_members() {
    let session = small_shop().await.session();
    run(&session, &BUYERS.replace("CREATE", "CREATE STATIC")).await;
    insert(&session, "VALUES ('n1', '2026-04-01', 'purchase', 'u3', NULL, NULL, '1', NULL)").await;
    run(&session, "REFRESH ALL SEGMENTS").await;
    assert_eq!(size(&session, "buyers").await, "2");
    assert!(error_of(&session, "REFRESH SEGMENT buyers").await.contains("static"));
}

#[tokio::test]
async fn a_segment_in_use_is_not_dropped() {
    let session = small_shop().await.session();
    run(&session, BUYERS).await;
    run(&session, RICH).await;
    let error = error_of(&session, "DROP SEGMENT buyers").await;
    assert!(error.contains("segment 'buyers' is used by 'rich'"), "{error}");
    run(&session, "DROP SEGMENT buyers CASCADE").await;
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.segments").await, "0");
    run(&session, "DROP SEGMENT IF EXISTS buyers").await;
}

#[tokio::test]
async fn a_name_is_given_once_and_circles_are_refused() {
    let session = small_shop().await.session();
    run(&session, BUYERS).await;
    assert!(error_of(&session, BUYERS).await.contains("exists already"));
    run(&session, RICH).await;
    let circle = "CREATE OR REPLACE SEGMENT buyers AS SELECT customer_id FROM segment('rich')";
    let error = error_of(&session, circle).await;
    assert!(error.contains("would use itself through 'rich'"), "{error}");
}

#[tokio::test]
async fn only_one_column_of_customers_makes_a_segment() {
    let session = small_shop().await.session();
    for (query, wanted) in [
        ("SELECT event FROM events", "column 'event' of type"),
        ("SELECT customer_id, ts FROM events", "2 columns (customer_id, ts)"),
        ("SELECT 4711", "nobody ever had that number"),
        ("SELECT -1", "nobody ever had that number"),
    ] {
        let error = error_of(&session, &format!("CREATE SEGMENT s AS {query}")).await;
        assert!(error.contains(wanted), "{query}: {error}");
    }
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.segments").await, "0");
}

// If this fails, somebody who merged with another customer falls out of old segment versions.
#[tokio::test]
async fn members_are_found_again_after_they_merge() {
    let session = small_shop().await.session();
    run(&session, "CREATE SEGMENT d4 AS SELECT customer_of('anonymous_id', 'd-4')").await;
    insert(&session, "VALUES ('m', '2026-04-01', 'signup', 'u2', 'd-4', NULL, NULL, NULL)").await;
    let merged = "SELECT in_segment(customer_of('user_id', 'u2'), 'd4')";
    assert_eq!(value_of(&session, merged).await, "true");
    assert_eq!(size(&session, "d4").await, "1");
}

#[tokio::test]
async fn linked_identifiers_are_one_customer_until_they_are_separated() {
    let session = small_shop().await.session();
    let same = "SELECT customer_of('user_id', 'u3') = customer_of('anonymous_id', 'd-4')";
    assert_eq!(value_of(&session, same).await, "false");
    run(&session, "LINK user_id 'u3' TO anonymous_id 'd-4' REASON 'she said so'").await;
    assert_eq!(value_of(&session, same).await, "true");
    run(&session, "UNLINK user_id 'u3' FROM anonymous_id 'd-4'").await;
    assert_eq!(value_of(&session, same).await, "false");
    assert_eq!(value_of(&session, "REBUILD IDENTITIES VERIFY").await, "0 differences");
}

#[tokio::test]
async fn show_segments_says_it_all() {
    let session = small_shop().await.session();
    run(&session, BUYERS).await;
    let shown = table_of(&session, "SHOW SEGMENTS").await;
    for word in ["buyers", "dynamic", "who bought", "SELECT customer_id FROM events"] {
        assert!(shown.contains(word), "{shown}");
    }
}

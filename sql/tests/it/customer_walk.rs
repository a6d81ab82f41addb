//! The walk from customer to customer. Breaks for a user if this fails: a funnel, a session or a
//! sum per customer is wrong after late events, merges or splits, or depends on the number of
//! threads.

use crate::small_shop::{rows_of, small_shop, table_of, value_of};
use habitue_sql::{Database, DatabaseOptions, LocalFiles, Session};
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::compaction::{CompactionDepth, CompactionOptions};
use habitue_storage::store::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// What happens to a database, in order.
#[derive(Clone, Debug)]
enum Step {
    /// One commit: seconds, person (of few), device (of few, 0 is none), event, channel, amount.
    Insert(Vec<(i64, u8, u8, u8, u8, i64)>),
    Compact(CompactionDepth),
    Link(u8, u8),
    Unlink(u8, u8),
}

const EVENTS: [&str; 4] = ["view", "cart", "a_rather_long_name_of_an_event", "buy"];
const CHANNELS: [&str; 3] = ["NULL", "'web'", "'mail'"];

fn step() -> impl Strategy<Value = Step> {
    // Weeks, or a few days with many events each.
    let seconds = prop_oneof![0..5_000_000_i64, 0..200_000_i64];
    let row = (seconds, 0..6_u8, 0..8_u8, 0..4_u8, 0..3_u8, -5..100_i64);
    prop_oneof![
        4 => prop::collection::vec(row, 1..40).prop_map(Step::Insert),
        1 => Just(Step::Compact(CompactionDepth::Tiered)),
        1 => Just(Step::Compact(CompactionDepth::Full)),
        1 => (1..6_u8, 1..8_u8).prop_map(|(person, device)| Step::Link(person, device)),
        1 => (1..6_u8, 1..8_u8).prop_map(|(person, device)| Step::Unlink(person, device)),
    ]
}

fn database(store: &Store, threads: usize) -> Database {
    let options = DatabaseOptions {
        memory_bytes_max: 256 << 20,
        threads,
        local_files: LocalFiles::Refused,
        ..DatabaseOptions::default()
    };
    Database::new(store.clone(), options).unwrap()
}

async fn take(session: &Session, number: usize, step: &Step) {
    let sql = match step {
        Step::Insert(rows) => {
            let rows =
                rows.iter().enumerate().map(|(row, &(seconds, person, device, e, c, amount))| {
                    let text = |prefix: &str, number: u8| match number {
                        0 => "NULL".to_owned(),
                        number => format!("'{prefix}{number}'"),
                    };
                    let (person, device) = (text("u", person), text("d", device));
                    let amount = if amount < 60 { "NULL".into() } else { format!("'{amount}.25'") };
                    let properties = match row % 7 {
                        0 => "NULL".to_owned(),
                        4 => format!("'{{\"land\": \"l1\", \"n\": {number}}}'"),
                        5 => format!("'{{\"land\":{number},\"n\":\"a\\\"b\"}}'"),
                        land => format!("'{{\"land\":\"l{land}\",\"n\":{number}}}'"),
                    };
                    format!(
                        "('{number}-{row}', to_timestamp({seconds}), '{}', {}, {person}, {device}, \
                     {amount}, {properties})",
                        EVENTS[usize::from(e)],
                        CHANNELS[usize::from(c)]
                    )
                });
            let rows = rows.collect::<Vec<_>>().join(", ");
            let columns = "(event_id, ts, event, channel, user_id, anonymous_id, amount, \
                           properties)";
            format!("INSERT INTO events {columns} VALUES {rows}")
        }
        Step::Compact(depth) => {
            let options =
                CompactionOptions { depth: *depth, file_rows_target: 30, ..Default::default() };
            session.database().store().compact(options, |_| {}).await.unwrap();
            return;
        }
        Step::Link(person, device) => {
            format!("LINK user_id 'u{person}' TO anonymous_id 'd{device}'")
        }
        Step::Unlink(person, device) => {
            format!("UNLINK user_id 'u{person}' FROM anonymous_id 'd{device}'")
        }
    };
    // Links of unknown identifiers, and of unlinked ones, may be refused: nothing happens then.
    let _ = rows_of(session, &sql).await;
}

/// Questions whose answers say all there is to know about the order and the grouping of rows.
const QUESTIONS: [&str; 28] = [
    "SELECT customer_id, count(*), sum(amount), min(ts), max(ts), count(channel) FROM events \
     GROUP BY 1 ORDER BY 1",
    "SELECT customer_id, window_funnel(INTERVAL '3' DAY, ts, event = 'view', event = 'cart', \
     event = 'buy') FROM events GROUP BY 1 ORDER BY 1",
    "SELECT customer_id, ts, event, sessionize(ts, INTERVAL '9' HOUR) \
     OVER (PARTITION BY customer_id ORDER BY ts) FROM events ORDER BY 1, 2, 3, 4",
    "SELECT customer_id, max(k), count(*) FROM (SELECT customer_id, \
     sessionize(ts, INTERVAL '1' DAY) OVER (PARTITION BY customer_id ORDER BY ts) k FROM events \
     WHERE event <> 'cart') \
     GROUP BY 1 ORDER BY 1",
    "SELECT channel, event, count(DISTINCT customer_id), count(DISTINCT identifier_id) FROM events \
     GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT customer_id, channel, count(*), sum(amount) FROM events GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT customer_id, count(*) FILTER (WHERE event = 'buy' AND amount > 70) FROM events \
     WHERE event IN ('buy', 'view') OR channel IS NULL GROUP BY 1 \
     HAVING count(*) FILTER (WHERE event LIKE '%long%') = 0 ORDER BY 1",
    "SELECT a.customer_id, a.n, b.m FROM (SELECT customer_id, count(*) n FROM events \
     WHERE event = 'view' GROUP BY 1) a FULL JOIN (SELECT customer_id, sum(amount) m FROM events \
     WHERE channel = 'web' GROUP BY 1) b USING (customer_id) ORDER BY 1, 2, 3",
    "SELECT customer_id, p, count(*) FROM (SELECT customer_id, ts, lag(ts) OVER \
     (PARTITION BY customer_id ORDER BY ts) p FROM events) GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT event, identifier_id, ts, amount FROM events WHERE channel IS NULL ORDER BY 1, 2, 3, 4",
    "SELECT customer_id, count(*) FROM events WHERE customer_id IN (0, 2, 5) GROUP BY 1 ORDER BY 1",
    "SELECT customer_id, count(*) FROM events WHERE ts > '1970-02-01' AND customer_id IS NOT NULL \
     GROUP BY 1 ORDER BY 1",
    "SELECT customer_id, count(*), min(event) FROM events JOIN (VALUES (0), (1), (4), (9)) AS \
     v(customer) ON customer = customer_id GROUP BY 1 ORDER BY 1",
    "SELECT count(*), count(DISTINCT customer_id), min(ts), max(amount) FROM events \
     WHERE event = 'buy' AND channel IS NOT NULL",
    "SELECT date_trunc('day', ts) d, channel, count(DISTINCT customer_id) FROM events \
     GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT channel c, upper(event) e, count(DISTINCT customer_id) n FROM events \
     WHERE event = 'buy' OR channel = 'web' GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT amount, count(DISTINCT customer_id) FROM events GROUP BY 1 ORDER BY 1",
    "SELECT DISTINCT customer_id, date_trunc('week', ts) w FROM events ORDER BY 1, 2",
    "SELECT DISTINCT customer_id, date_trunc('hour', ts) h, channel FROM events ORDER BY 1, 2, 3",
    "SELECT CAST(ts AS DATE) d, count(DISTINCT customer_id) FROM events WHERE event = 'buy' \
     AND ts >= '1970-01-02' GROUP BY 1 ORDER BY 1",
    "SELECT CAST(ts AS DATE) d, event, count(DISTINCT customer_id) FROM events \
     WHERE ts < '1970-01-02T12:00:00Z' AND channel IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT DISTINCT customer_id, CAST(date_part('doy', ts) AS BIGINT) / 7 w, event FROM events \
     ORDER BY 1, 2, 3",
    "SELECT DISTINCT CAST(ts AS DATE) d, customer_id FROM events WHERE amount > 70 ORDER BY 1, 2",
    "SELECT properties->>'land' l, count(*), count(DISTINCT customer_id) FROM events \
     WHERE event <> 'cart' GROUP BY 1 ORDER BY 1",
    "SELECT customer_id, count(*) FILTER (WHERE (properties->>'land') IN ('l1', 'l2')) l, \
     max(properties->>'n') FROM events GROUP BY 1 ORDER BY 1",
    "SELECT count(*), sum(amount) FROM events WHERE (properties->>'land') = 'l3' \
     AND ts > '1970-01-09'",
    "SELECT c.first, a.d, count(*), count(DISTINCT a.customer_id) FROM (SELECT customer_id, \
     min(ts) first FROM events WHERE event = 'buy' GROUP BY 1) c JOIN (SELECT DISTINCT customer_id, \
     date_trunc('day', ts) d FROM events) a ON a.customer_id = c.customer_id AND a.d >= c.first \
     GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT a.customer_id, a.ts, a.channel, b.ts, b.amount FROM events a JOIN events b ON \
     a.customer_id = b.customer_id AND b.ts >= a.ts WHERE a.event = 'view' AND b.event = 'buy' \
     ORDER BY 1, 2, 3, 4, 5",
];

// If this fails, an answer depends on how rows are found.
#[test]
fn answers_are_those_of_the_stock_plan_over_any_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    let histories = prop::collection::vec(step(), 1..14);
    let result = runner.run(&histories, |steps| {
        runtime.block_on(async {
            let bucket = Bucket::open("memory://").await.unwrap();
            let store = Store::create(bucket, Catalog::default()).await.unwrap();
            let sessions = [2, 3, 1, 8].map(|threads| database(&store, threads).session());
            let stock = database(&store, 2).session();
            rows_of(&stock, "SET habitue.customer_walk = off").await.unwrap();
            rows_of(&sessions[1], "SET habitue.customer_walk = once").await.unwrap();
            join_by_customer(&sessions[0]).await;
            join_by_customer(&sessions[3]).await;
            for (number, step) in steps.iter().enumerate() {
                take(&stock, number, step).await;
                // Columns stay hot over merges, splits and compactions.
                let question = QUESTIONS[number % QUESTIONS.len()];
                let expected = table_of(&stock, question).await;
                for session in &sessions[..2] {
                    assert_eq!(table_of(session, question).await, expected, "{question}");
                }
            }
            for question in QUESTIONS {
                let expected = table_of(&stock, question).await;
                for session in &sessions {
                    // The first time columns become hot, the second time days are made of them.
                    for _ in 0..3 {
                        let found = table_of(session, question).await;
                        assert_eq!(found, expected, "{question}");
                    }
                }
            }
        });
        Ok(())
    });
    result.unwrap();
}

// If this fails, the comparison above does, too, but seldom: when nobody has the rows of an answer.
#[tokio::test]
async fn an_answer_without_rows_has_no_batches() {
    let store = Store::create(Bucket::open("memory://").await.unwrap(), Catalog::default()).await;
    let session = database(&store.unwrap(), 1).session();
    let rows = "('1', to_timestamp(1), 'view', 'u1'), ('2', to_timestamp(5000000), 'view', NULL)";
    let insert = format!("INSERT INTO events (event_id, ts, event, user_id) VALUES {rows}");
    rows_of(&session, &insert).await.unwrap();
    let query = "SELECT customer_id, count(*) FROM events WHERE ts > '1970-02-01' \
                 AND customer_id IS NOT NULL GROUP BY 1 ORDER BY 1";
    for _ in 0..3 {
        assert_eq!(rows_of(&session, query).await.unwrap().len(), 0);
    }
    assert!(plan(&session, query).await.contains("CustomerAggregateExec"));
}

/// Of few rows the engine would rather make a table that all partitions have.
async fn join_by_customer(session: &Session) {
    for threshold in ["threshold", "threshold_rows"] {
        let set = format!("SET datafusion.optimizer.hash_join_single_partition_{threshold} = 0");
        rows_of(session, &set).await.unwrap();
    }
}

async fn plan(session: &Session, query: &str) -> String {
    table_of(session, &format!("EXPLAIN {query}")).await
}

#[tokio::test]
async fn work_per_customer_needs_no_sort_and_no_shuffle() {
    let session = small_shop().await.session();
    join_by_customer(&session).await;
    for (query, operator) in [
        ("SELECT customer_id, count(*), max(ts) FROM events GROUP BY 1", "CustomerAggregateExec"),
        (
            "SELECT sessionize(ts, INTERVAL '1' HOUR) OVER (PARTITION BY customer_id ORDER BY ts) \
             FROM events",
            "SessionizeExec",
        ),
        ("SELECT DISTINCT customer_id, date_trunc('day', ts) FROM events", "CustomerDistinctExec"),
        (
            "SELECT c.customer_id, c.first, a.d FROM (SELECT customer_id, min(ts) first FROM events \
             GROUP BY 1) c JOIN (SELECT DISTINCT customer_id, date_trunc('day', ts) d FROM events) a \
             ON a.customer_id = c.customer_id AND a.d >= c.first",
            "CustomerJoinExec",
        ),
        (
            "SELECT customer_id, count(*) FROM events WHERE (properties->>'city') = 'Bonn' \
             GROUP BY 1",
            "CustomerAggregateExec",
        ),
        (
            "SELECT customer_id, event, count(*) FROM events WHERE event = 'visit' GROUP BY 1, 2",
            "only=[event@0 = visit]",
        ),
    ] {
        let plan = plan(&session, query).await;
        assert!(plan.contains(operator) && plan.contains("CustomerWalkExec"), "{plan}");
        assert!(!plan.contains("RepartitionExec") && !plan.contains("SortExec"), "{plan}");
        assert!(plan.contains(", arranged, "), "{plan}");
    }
    rows_of(&session, "SET habitue.customer_walk = off").await.unwrap();
    let plan = plan(&session, "SELECT customer_id, count(*) FROM events GROUP BY 1").await;
    assert!(plan.contains("EventScanExec") && !plan.contains("Customer"), "{plan}");
}

#[tokio::test]
async fn distinct_customers_are_counted_before_anything_is_shuffled() {
    let session = small_shop().await.session();
    let query = "SELECT event, count(DISTINCT customer_id) FROM events GROUP BY 1";
    let plan = plan(&session, query).await;
    assert!(plan.contains("CustomerDistinctExec: count("), "{plan}");
    assert_eq!(plan.matches("AggregateExec").count(), 1, "{plan}");
}

/// Seven customers with a hundred events each, within five days.
async fn busy_shop() -> Database {
    let store = Store::create(Bucket::open("memory://").await.unwrap(), Catalog::default());
    let shop = database(&store.await.unwrap(), 2);
    let insert = "INSERT INTO events (event_id, ts, event, channel, user_id) \
         SELECT 'e' || value, to_timestamp(value * 600), \
         CASE WHEN value % 9 = 0 THEN 'buy' ELSE 'view' END, \
         CASE WHEN value % 5 < 4 THEN 'web' END, 'u' || (value * value % 7) \
         FROM generate_series(1, 700)";
    rows_of(&shop.session(), insert).await.unwrap();
    shop
}

// If this fails, a program that asks once waits for columns to be kept, or gets a wrong answer.
#[tokio::test]
async fn a_query_that_keeps_nothing_picks_its_rows_out_of_the_files() {
    let session = busy_shop().await.session();
    rows_of(&session, LATE_EVENT).await.unwrap();
    let stock = session.database().session();
    rows_of(&stock, "SET habitue.customer_walk = off").await.unwrap();
    rows_of(&session, "SET habitue.customer_walk = once").await.unwrap();
    for (query, rows) in [
        ("SELECT count(*), max(ts), customer_id FROM events GROUP BY 3", ""),
        (
            "SELECT count(*), max(ts), customer_id FROM events WHERE event = 'buy' GROUP BY 3",
            "only=",
        ),
        ("SELECT DISTINCT customer_id, CAST(ts AS DATE) d, channel FROM events", ", by day"),
    ] {
        let query = format!("{query} ORDER BY 1, 2, 3");
        let plan = plan(&session, &query).await;
        assert!(plan.contains(", picked from files") && plan.contains(rows), "{plan}");
        assert!(!plan.contains("RepartitionExec"), "{plan}");
        assert_eq!(table_of(&session, &query).await, table_of(&stock, &query).await, "{query}");
    }
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.cache").await, "0");
}

// If this fails, the first of many queries waits for an arrangement, or none is ever made.
#[tokio::test]
async fn columns_of_many_events_are_arranged_when_they_are_asked_for_again() {
    let bucket = Bucket::open("memory://").await.unwrap();
    let store = Store::create(bucket, Catalog::default()).await.unwrap();
    let stock = database(&store, 2).session();
    // One file, of which more rows than one part are decoded.
    let insert = "INSERT INTO events (event_id, ts, event, user_id) SELECT 'e' || value, \
         to_timestamp(value * 30), CASE WHEN value % 20 = 0 THEN 'buy' ELSE 'view' END, \
         'u' || (value * value % 997) FROM generate_series(1, 70000)";
    rows_of(&stock, insert).await.unwrap();
    rows_of(&stock, "SET habitue.customer_walk = off").await.unwrap();
    for query in [
        "SELECT customer_id, max(ts) FROM events WHERE event = 'buy' GROUP BY 1 ORDER BY 1",
        "SELECT customer_id, count(*), max(ts) FROM events GROUP BY 1 ORDER BY 1",
    ] {
        let session = database(&store, 2).session();
        let expected = table_of(&stock, query).await;
        let once = session.database().session();
        rows_of(&once, "SET habitue.customer_walk = once").await.unwrap();
        assert_eq!(table_of(&once, query).await, expected, "{query}");
        for how in [", picked from files", ", arranged"] {
            let plan = table_of(&session, &format!("EXPLAIN ANALYZE {query}")).await;
            assert!(plan.contains(how), "{plan}");
            assert_eq!(table_of(&session, query).await, expected, "{query}");
        }
    }
}

// If this fails, who was there on which day takes all events of all days, or is wrong.
#[tokio::test]
async fn days_and_weeks_are_counted_from_the_first_row_of_each_day() {
    let session = busy_shop().await.session();
    let stock = session.database().session();
    rows_of(&stock, "SET habitue.customer_walk = off").await.unwrap();
    let by_day = [
        "SELECT CAST(ts AS DATE) d, channel, count(DISTINCT customer_id) FROM events GROUP BY 1, 2",
        "SELECT DISTINCT customer_id, date_trunc('week', ts) FROM events WHERE event = 'buy'",
        "SELECT CAST(ts AS DATE) d, count(DISTINCT customer_id) FROM events \
         WHERE ts >= '1970-01-03' GROUP BY 1",
    ];
    let by_time = [
        "SELECT date_trunc('hour', ts) d, channel, count(DISTINCT customer_id) FROM events \
         GROUP BY 1, 2",
        "SELECT CAST(ts AS DATE) d, count(DISTINCT customer_id) FROM events \
         WHERE ts >= '1970-01-03T00:00:01Z' GROUP BY 1",
        "SELECT DISTINCT customer_id, date_trunc('minute', ts) FROM events",
    ];
    for more in ["SELECT 1", "LINK user_id 'u1' TO user_id 'u2'", LATE_EVENT] {
        rows_of(&session, more).await.unwrap();
        let queries = by_day.iter().map(|query| (query, true));
        for (query, is_by_day) in queries.chain(by_time.iter().map(|query| (query, false))) {
            let query = format!("{query} ORDER BY 1, 2");
            let expected = table_of(&stock, &query).await;
            for _ in 0..3 {
                assert_eq!(table_of(&session, &query).await, expected, "{query} after {more}");
            }
            let plan = plan(&session, &query).await;
            assert_eq!(plan.contains(", by day"), is_by_day, "{plan}");
        }
    }
    let kept = "SELECT count(DISTINCT path) FROM system.cache WHERE path LIKE 'days of %'";
    assert_eq!(value_of(&session, kept).await, "3");
}

const LATE_EVENT: &str = "INSERT INTO events (event_id, ts, event, user_id) VALUES \
                          ('late', to_timestamp(90000), 'buy', 'u3')";

#[tokio::test]
async fn a_query_that_is_only_explained_forgets_nothing() {
    let shop = small_shop().await;
    let query = "SELECT customer_id, max(ts) FROM events GROUP BY 1";
    let session = shop.session();
    rows_of(&session, query).await.unwrap();
    let held = value_of(&session, "SELECT sum(bytes) FROM system.cache").await;
    let options =
        DatabaseOptions { cache_bytes_max: Some(held.parse().unwrap()), ..shop.options().clone() };
    let tight = Database::new(shop.store().clone(), options).unwrap().session();
    rows_of(&tight, query).await.unwrap();
    let other = "SELECT channel, count(DISTINCT customer_id) FROM events GROUP BY 1";
    plan(&tight, other).await;
    let of_times = "SELECT count(*) FROM system.cache WHERE \"column\" = 'ts'";
    assert_eq!(value_of(&tight, of_times).await, "1");
    rows_of(&tight, other).await.unwrap();
    assert_eq!(value_of(&tight, of_times).await, "0");
    let budget = "SELECT value FROM system.settings WHERE name = 'habitue.cache_bytes_max'";
    assert_eq!(value_of(&tight, budget).await, held);
}

#[tokio::test]
async fn wide_columns_and_first_rows_are_read_from_parquet() {
    let session = small_shop().await.session();
    for query in [
        "SELECT properties FROM events",
        "SELECT event FROM events LIMIT 3",
        "SELECT count(*) FROM events WHERE event_id = 'e1'",
    ] {
        let plan = plan(&session, query).await;
        assert!(plan.contains("EventScanExec"), "{query}\n{plan}");
    }
}

#[tokio::test]
async fn columns_are_kept_within_the_memory_limit() {
    let shop = small_shop().await;
    let options = DatabaseOptions { memory_bytes_max: 100, ..shop.options().clone() };
    let small = Database::new(shop.store().clone(), options).unwrap().session();
    let plan = plan(&small, "SELECT customer_id, max(ts) FROM events GROUP BY 1").await;
    assert!(plan.contains("EventScanExec"), "{plan}");
    let session = shop.session();
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.cache").await, "0");
    rows_of(&session, "SELECT customer_id, max(ts) FROM events GROUP BY 1").await.unwrap();
    // The times, and where each row comes from.
    assert_eq!(value_of(&session, "SELECT count(*) FROM system.cache").await, "2");
    let held = "SELECT sum(bytes) > 0 AND sum(bytes) < 100000 FROM system.cache";
    assert_eq!(value_of(&session, held).await, "true");
    assert_eq!(value_of(&shop.session(), "SELECT sum(rows) FROM system.cache").await, "24");
}

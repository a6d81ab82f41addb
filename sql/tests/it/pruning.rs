//! Leaving out files and rows. Breaks for a user if this fails: events are missing from an answer,
//! or a question about one person reads everything.

use crate::small_shop::{empty_database, rows_of, small_shop, table_of, value_of};
use chrono::{TimeZone, Utc};
use habitue_sql::{Database, LocalFiles, Session};
use habitue_storage::ingest::IngestOptions;
use habitue_testdata::{ShopOptions, batches};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A year of a shop in several files, with segments.
async fn shop() -> Database {
    let database = empty_database(LocalFiles::Refused).await;
    let options = ShopOptions { customers: 150, days: 120, ..ShopOptions::default() };
    let received_at = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    for (number, batch) in batches(options, 1_000).enumerate() {
        let source = IngestOptions::new(format!("part {number}"), received_at);
        let mut ingest = database.store().begin_ingest(source).await.unwrap();
        ingest.append(&batch.unwrap(), 1).await.unwrap();
        ingest.commit().await.unwrap();
    }
    let session = database.session();
    for sql in [
        "CREATE SEGMENT few AS SELECT customer_id FROM events WHERE customer_id % 17 = 0",
        "CREATE SEGMENT half AS SELECT customer_id FROM events WHERE customer_id % 2 = 0",
        "CREATE SEGMENT nobody AS SELECT customer_id FROM events WHERE false",
    ] {
        rows_of(&session, sql).await.unwrap();
    }
    database
}

async fn set_pruning(session: &Session, pruning: &str) {
    rows_of(session, &format!("SET habitue.pruning = {pruning}")).await.unwrap();
}

async fn plan(session: &Session, condition: &str) -> String {
    table_of(session, &format!("EXPLAIN SELECT count(event_id) FROM events WHERE {condition}"))
        .await
}

#[tokio::test]
async fn files_are_left_out_for_each_reason() {
    let session = small_shop().await.session();
    rows_of(&session, "CREATE SEGMENT ada AS SELECT customer_of('user_id', 'u1')").await.unwrap();
    rows_of(&session, "CREATE SEGMENT d4 AS SELECT customer_of('anonymous_id', 'd-4')")
        .await
        .unwrap();
    for (condition, wanted) in [
        ("ts < '2026-02-01'", "files=1/3 (time -2)"),
        ("event = 'refund'", "files=1/3 (event -2)"),
        ("event IN ('refund', 'signup') AND ts < '2026-02-15'", "files=1/3 (time -1, event -1)"),
        ("in_segment(customer_id, 'd4')", "files=1/3 (customers -2)"),
        ("customer_id = customer_of('anonymous_id', 'd-4')", "files=1/3 (customers -2)"),
        ("customer_id IN (SELECT customer_id FROM segment('d4'))", "files=1/3 (customers -2)"),
        (
            "EXISTS (SELECT 1 FROM segment('d4') s WHERE s.customer_id = events.customer_id)",
            "files=1/3 (customers -2)",
        ),
        ("in_segment(customer_id, 'ada')", "files=2/3 (customers -1)"),
    ] {
        let plan = plan(&session, condition).await;
        assert!(plan.contains(wanted), "{condition}\n{plan}");
    }
    set_pruning(&session, "off").await;
    let plan = plan(&session, "ts < '2026-02-01'").await;
    assert!(plan.contains("files=3/3, pruning=off"), "{plan}");
}

// If this fails, a question about one customer waits behind long ones, and joins are planned as if
// nothing was left out.
#[tokio::test]
async fn statistics_know_how_few_rows_are_left() {
    let session = shop().await.session();
    rows_of(&session, "SET datafusion.explain.show_statistics = true").await.unwrap();
    let number_after = |line: &str, words: &str| {
        let rest = &line[line.find(words).unwrap() + words.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        rest[..end].parse::<u64>().unwrap()
    };
    let everybody = "SELECT customer_id, max(ts) FROM events GROUP BY 1";
    let of_one = "EXPLAIN SELECT max(ts) FROM events WHERE customer_id = 7";
    for operator in ["EventScanExec", "CustomerWalkExec"] {
        let plan = table_of(&session, of_one).await;
        let scan = plan.lines().find(|line| line.contains(operator));
        let scan = scan.unwrap_or_else(|| panic!("{plan}"));
        let selected = number_after(scan, " rows=");
        assert!(selected < number_after(scan, &format!(" rows={selected}/")), "{scan}");
        assert_eq!(number_after(scan, "Rows=Inexact("), selected, "{scan}");
        // Once columns are kept, the same rows are walked over.
        rows_of(&session, everybody).await.unwrap();
    }
}

#[tokio::test]
async fn membership_is_a_bitmap_however_it_is_written() {
    let session = small_shop().await.session();
    rows_of(&session, "CREATE SEGMENT ada AS SELECT customer_of('user_id', 'u1')").await.unwrap();
    for (from, expected) in [
        ("events WHERE in_segment(customer_id, 'ada')", "6"),
        ("events WHERE customer_id IN (SELECT customer_id FROM segment('ada'))", "6"),
        ("events LEFT SEMI JOIN segment('ada') s ON events.customer_id = s.customer_id", "6"),
        ("events WHERE NOT in_segment(customer_id, 'ada')", "5"),
        ("events WHERE customer_id NOT IN (SELECT customer_id FROM segment('ada'))", "5"),
        (
            "events WHERE NOT EXISTS (SELECT 1 FROM segment('ada') s \
             WHERE s.customer_id = events.customer_id)",
            "6",
        ),
        ("events LEFT ANTI JOIN segment('ada') s ON events.customer_id = s.customer_id", "6"),
        ("events JOIN segment('ada') s ON events.customer_id = s.customer_id", "6"),
        ("events JOIN segment('ada') USING (customer_id)", "6"),
    ] {
        for pruning in ["on", "off"] {
            set_pruning(&session, pruning).await;
            let sql = format!("SELECT count(event_id) FROM {from}");
            assert_eq!(value_of(&session, &sql).await, expected, "pruning {pruning}: {from}");
        }
        set_pruning(&session, "on").await;
        let plan = table_of(&session, &format!("EXPLAIN SELECT count(event_id) FROM {from}")).await;
        assert!(plan.contains("in_segment("), "{from}\n{plan}");
    }
}

#[tokio::test]
async fn only_the_rows_of_wanted_customers_are_selected() {
    let session = shop().await.session();
    let anyone = value_of(&session, "SELECT max(customer_id) FROM events").await;
    let plan = plan(&session, &format!("customer_id = {anyone}")).await;
    assert!(plan.contains("row_ranges="), "{plan}");
    assert!(plan.contains("customers=1"), "{plan}");
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0..400_i64).prop_map(|n| format!("customer_id = {n}")),
        prop::collection::vec(-2..400_i64, 1..6).prop_map(|list| {
            let list = list.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            format!("customer_id IN ({list})")
        }),
        (0..400_i64, 0..50_i64)
            .prop_map(|(low, width)| { format!("customer_id BETWEEN {low} AND {}", low + width) }),
        (0..400_i64).prop_map(|n| format!("customer_id > {n}")),
        (0..400_i64).prop_map(|n| format!("{n} >= customer_id")),
        (0..400_i64).prop_map(|n| format!("identifier_id = {n}")),
        (0..400_i64).prop_map(|n| format!("identifier_id < {n}")),
        prop::sample::select(vec!["few", "half", "nobody"])
            .prop_map(|name| format!("in_segment(customer_id, '{name}')")),
        prop::sample::select(vec!["few", "half", "nobody"])
            .prop_map(|name| format!("customer_id IN (SELECT customer_id FROM segment('{name}'))")),
        prop::sample::select(vec!["few", "half", "nobody"]).prop_map(|name| format!(
            "customer_id NOT IN (SELECT customer_id FROM segment('{name}'))"
        )),
        prop::sample::select(vec!["purchase", "$page", "$identify", "nothing"])
            .prop_map(|name| format!("event = '{name}'")),
        (0..130_i64)
            .prop_map(|day| format!("ts < (SELECT min(ts) FROM events) + INTERVAL '{day} days'")),
        (1..13_i64).prop_map(|month| format!("ts >= '2025-{month:02}-01'")),
        Just("customer_id IS NULL".to_owned()),
        Just("amount > 20".to_owned()),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

// If this fails, an answer depends on what was left out.
#[test]
fn answers_are_the_same_with_and_without_pruning() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(shop());
    let (on, off) = (database.session(), database.session());
    runtime.block_on(set_pruning(&off, "off"));
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    let result = runner.run(&condition(), |condition| {
        let sql = format!(
            "SELECT count(*), sum(amount), count(DISTINCT customer_id), min(event_id) \
             FROM events WHERE {condition}"
        );
        let (with, without) =
            runtime.block_on(async { (table_of(&on, &sql).await, table_of(&off, &sql).await) });
        prop_assert_eq!(with, without, "{}", condition);
        Ok(())
    });
    result.unwrap();
}

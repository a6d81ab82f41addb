//! Which new events are relevant for definitions of many shapes, and what they decide.

use super::arrivals::Asked;
use super::condition::Condition;
use super::{Definition, Refresh};
use crate::segments::query::SegmentQuery;
use crate::{Database, DatabaseOptions};
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::store::Store;
use object_store::memory::InMemory;
use std::sync::Arc;

async fn asked(sql: &str) -> Asked {
    let bucket = Bucket::with_store(Arc::new(InMemory::new()), "memory://");
    let store = Store::create(bucket, Catalog::default()).await.unwrap();
    let database = Database::new(store, DatabaseOptions::default()).unwrap();
    let query = database.session().query().await.unwrap();
    let plan = SegmentQuery::plan(sql, &query).await.unwrap();
    let definition = Definition { name: "tested".into(), query: plan, previous: None };
    Refresh::new(&query).plan(definition).await.unwrap().asked
}

/// Which events may bring customers in, and which may throw them out.
async fn relevance(sql: &str) -> [String; 2] {
    let relevance = asked(sql).await.relevance;
    [relevance.enter, relevance.leave].map(|filter| {
        let shown = filter.to_string().replace("Boolean(true)", "every");
        shown.replace("Boolean(false)", "none").replace("Utf8View(\"", "Utf8(\"")
    })
}

/// The same of `SELECT customer_id FROM events GROUP BY customer_id HAVING …`.
async fn relevance_of(having: &str) -> [String; 2] {
    let sql = "SELECT customer_id FROM events GROUP BY customer_id HAVING";
    relevance(&format!("{sql} {having}")).await
}

const REFUND: &str = "event = Utf8(\"refund\")";
const BUY: &str = "event = Utf8(\"buy\")";

#[tokio::test]
async fn without_having_an_event_brings_in_and_none_throws_out() {
    let sql = "SELECT customer_id FROM events";
    assert_eq!(relevance(sql).await, ["every", "none"]);
    assert_eq!(relevance(&format!("{sql} WHERE event = 'buy'")).await, [BUY, "none"]);
    let grouped = format!("{sql} WHERE event = 'buy' GROUP BY customer_id");
    assert_eq!(relevance(&grouped).await, [BUY, "none"]);
}

#[tokio::test]
async fn counts_turn_one_way() {
    let refunds = "count(*) FILTER (WHERE event = 'refund')";
    for test in [">= 2", "> 0", "<> 0"] {
        let found = relevance_of(&format!("{refunds} {test}")).await;
        assert_eq!(found, [REFUND, "none"], "{test}");
    }
    for test in ["= 2", "BETWEEN 1 AND 3"] {
        let found = relevance_of(&format!("{refunds} {test}")).await;
        assert_eq!(found, [REFUND, REFUND], "{test}");
    }
    // Who has no refund is a member as soon as there is any event.
    for test in ["= 0", "< 2", "<= 0"] {
        let found = relevance_of(&format!("{refunds} {test}")).await;
        assert_eq!(found, ["every", REFUND], "{test}");
    }
    assert_eq!(relevance_of(&format!("{refunds} <> 2")).await, ["every", REFUND]);
    assert_eq!(relevance_of(&format!("2 <= {refunds}")).await, [REFUND, "none"]);
    assert_eq!(relevance_of(&format!("{refunds} >= 0")).await, ["every", "none"]);
    assert_eq!(relevance_of(&format!("{refunds} = -1")).await[1], REFUND);
    assert_eq!(relevance_of(&format!("NOT ({refunds} > 2)")).await, ["every", REFUND]);
}

#[tokio::test]
async fn sums_and_averages_turn_both_ways_and_do_not_see_null() {
    let amount = "amount IS NOT NULL";
    assert_eq!(relevance_of("sum(amount) > 5").await, [amount, amount]);
    assert_eq!(relevance_of("avg(amount) < 5").await, [amount, amount]);
    assert_eq!(relevance_of("sum(amount) IS NULL").await, ["every", amount]);
    let found = relevance_of("sum(amount) FILTER (WHERE event = 'buy') > 5").await;
    let both = format!("{BUY} AND {amount}");
    assert_eq!(found, [both.as_str(), both.as_str()]);
}

#[tokio::test]
async fn extremes_turn_one_way_once_they_are_there() {
    let time = "TIMESTAMP '2026-01-01T00:00:00Z'";
    assert_eq!(relevance_of(&format!("max(ts) > {time}")).await, ["ts IS NOT NULL", "none"]);
    assert_eq!(relevance_of(&format!("min(ts) < {time}")).await, ["ts IS NOT NULL", "none"]);
    assert_eq!(relevance_of(&format!("max(ts) < {time}")).await, ["every", "ts IS NOT NULL"]);
    assert_eq!(relevance_of(&format!("min(ts) >= {time}")).await, ["every", "ts IS NOT NULL"]);
    let amount = "amount IS NOT NULL";
    // It may have been NULL for a customer with events.
    assert_eq!(relevance_of("max(amount) < 5").await, [amount, amount]);
    // Numbers as texts have another order.
    assert_eq!(relevance_of("max(amount) > '5'").await, ["every", amount]);
}

#[tokio::test]
async fn each_test_of_a_condition_sees_its_own_events() {
    let refunds = "count(*) FILTER (WHERE event = 'refund')";
    let buys = "count(*) FILTER (WHERE event = 'buy')";
    let both = relevance_of(&format!("{buys} > 0 AND {refunds} = 0")).await;
    assert_eq!(both, [BUY, REFUND]);
    let either = relevance_of(&format!("{buys} > 0 OR {refunds} = 0")).await;
    assert_eq!(either, ["every", REFUND]);
    let compared = format!("{buys} > {refunds}");
    let found = relevance_of(&compared).await;
    assert_eq!(found[1], format!("{BUY} OR {REFUND}"));
}

#[tokio::test]
async fn other_shapes_see_what_their_scans_read() {
    let join = "SELECT a.customer_id FROM events a JOIN events b ON a.customer_id = b.customer_id \
                WHERE a.event = 'buy' AND b.event = 'refund'";
    let either = format!("{BUY} OR {REFUND}");
    assert_eq!(relevance(join).await, [either.as_str(), "none"]);
    let without = "SELECT customer_id FROM events e WHERE event = 'buy' AND NOT EXISTS \
                   (SELECT 1 FROM events r WHERE r.customer_id = e.customer_id \
                    AND r.event = 'refund')";
    assert_eq!(relevance(without).await, [either.as_str(), either.as_str()]);
    let second = "SELECT customer_id FROM (SELECT customer_id, row_number() OVER \
                  (PARTITION BY customer_id ORDER BY ts) AS place FROM events) WHERE place = 2";
    assert_eq!(relevance(second).await, ["every", "every"]);
}

#[tokio::test]
async fn what_some_events_decide_is_left_of_a_condition() {
    let decided = async |having: &str| {
        let sql = "SELECT customer_id FROM events GROUP BY customer_id HAVING";
        let simple = asked(&format!("{sql} {having}")).await.simple.unwrap();
        let condition = Condition::of(&simple);
        [condition.surely(), condition.perhaps()].map(|part| part.to_string())
    };
    let on = "count(Int64(1)) >= Int64(2)";
    assert_eq!(decided("count(*) >= 2").await, [on, "Boolean(true)"]);
    let off = "max(events.ts) < ";
    let [surely, perhaps] = decided("max(ts) < TIMESTAMP '2026-01-01T00:00:00Z'").await;
    assert_eq!(surely, "Boolean(false)");
    assert!(perhaps.starts_with(off), "{perhaps}");
    let [surely, perhaps] = decided("count(*) >= 2 AND sum(amount) > 5").await;
    assert_eq!(surely, format!("{on} AND Boolean(false)"));
    assert_eq!(perhaps, "Boolean(true) AND Boolean(true)");
}

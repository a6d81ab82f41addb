//! What breaks: the best customers are called lost.

use super::{create_events, rows, session, session_with_events};
use proptest::prelude::{Strategy, prop};
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

const EVENTS: &str = "\
    (1, '2024-12-31 23:59:59', 'purchase', 100), (1, '2023-12-31 12:00:00', 'purchase', 50), \
    (1, '2025-01-01 00:00:00', 'purchase', 999), (1, '2024-12-31 12:00:00', 'refund', -30), \
    (2, '2024-12-01 00:00:00', 'purchase', 40), (2, '2024-12-02 00:00:00', 'visit', NULL), \
    (3, '2024-12-01 00:00:00', 'refund', -10), (NULL, '2024-12-01 00:00:00', 'purchase', 5)";

#[tokio::test]
async fn day_of_as_of_counts_refunds_net_out_and_are_no_purchases() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT customer_id, recency_days, frequency, monetary, monetary_year, \
               monetary_total, last_purchase FROM rfm(as_of => DATE '2024-12-31') \
               ORDER BY customer_id";
    let expected = [
        "1 0 2 60.0 119.75409836065575 120.0000 2024-12-31T23:59:59Z",
        "2 30 1 40.0 40.0 40.0000 2024-12-01T00:00:00Z",
    ];
    assert_eq!(rows(&context, sql).await, expected);
}

#[tokio::test]
async fn window_leaves_out_what_is_older() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT customer_id, frequency, monetary_total, monetary_year \
               FROM rfm(as_of => DATE '2024-12-31', window => INTERVAL '1' YEAR) \
               ORDER BY customer_id";
    assert_eq!(rows(&context, sql).await, ["1 1 70.0000 70.0", "2 1 40.0000 40.0"]);
}

#[tokio::test]
async fn relation_of_orders_needs_no_events() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT customer_id, frequency FROM rfm((SELECT customer_id AS who, \
               CAST(ts AS DATE) AS day, CAST(amount AS DOUBLE) AS money FROM events \
               WHERE amount > 0), customer => who, ts => day, amount => money, \
               as_of => '2024-12-31') ORDER BY customer_id";
    assert_eq!(rows(&context, sql).await, ["1 2", "2 1"]);
}

#[tokio::test]
async fn own_purchases_bring_their_own_refunds_only() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT customer_id, monetary_total FROM rfm(purchase => event = 'purchase', \
               as_of => DATE '2024-12-31') ORDER BY customer_id";
    assert_eq!(rows(&context, sql).await, ["1 150.0000", "2 40.0000"]);
}

#[tokio::test]
async fn scores_have_a_segment() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT customer_id, segment = rfm_segment(r, f, m), r > 1 \
               FROM rfm(as_of => DATE '2024-12-31') ORDER BY customer_id";
    assert_eq!(rows(&context, sql).await, ["1 true true", "2 true false"]);
    let parts = sql.replace("'2024-12-31')", "'2024-12-31', method => 'ntile')");
    assert_eq!(rows(&context, &parts).await.len(), 2);
}

/// Type 7, written the other way round: the value whose rank is a share of all gaps.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    low + (high - low) * (rank - rank.floor())
}

fn scores(values: &[f64]) -> Vec<usize> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cuts = [0.2, 0.4, 0.6, 0.8].map(|share| quantile(&sorted, share));
    // Rounding parts what is equal on paper; the values of this test are whole numbers.
    let below = |value: f64| cuts.iter().filter(|cut| **cut + 1e-9 < value).count();
    values.iter().map(|value| 1 + below(*value)).collect()
}

#[test]
fn values_and_scores_are_those_of_a_slow_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 48, ..Config::default() });
    let purchase = (1i64..30, 0i64..90, 0i64..100);
    let cases = (prop::collection::vec(purchase, 1..120), 1usize..4).prop_map(|case| case);
    let test = |(purchases, partitions): (Vec<(i64, i64, i64)>, usize)| {
        let as_of = 60;
        let mut customers: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
        for (customer, day, amount) in purchases.iter().filter(|purchase| purchase.1 <= as_of) {
            let (last, frequency, total) = customers.entry(*customer).or_insert((*day, 0, 0));
            *last = (*last).max(*day);
            *frequency += 1;
            *total += amount;
        }
        let column = |value: fn(&(i64, i64, i64)) -> f64| {
            scores(&customers.values().map(value).collect::<Vec<_>>())
        };
        let r = column(|(last, ..)| *last as f64);
        let f = column(|(_, frequency, _)| *frequency as f64);
        let m = column(|(.., total)| *total as f64);
        let expected: Vec<_> = customers
            .iter()
            .enumerate()
            .map(|(row, (customer, (last, frequency, _)))| {
                let recency = as_of - last;
                format!("{customer} {recency} {frequency} {} {} {}", r[row], f[row], m[row])
            })
            .collect();
        let values: Vec<_> = purchases
            .iter()
            .map(|(customer, day, amount)| {
                let ts = format!("arrow_cast({}, 'Timestamp(Second, None)')", day * 86_400 + 7200);
                format!("({customer}, {ts}, 'purchase', {amount})")
            })
            .collect();
        let sql = "SELECT customer_id, recency_days, frequency, r, f, m FROM rfm(\
                   as_of => DATE '1970-03-02', score_money => 'total') ORDER BY customer_id";
        let answer = runtime.block_on(async {
            let context = session(partitions);
            create_events(&context, &values.join(", ")).await;
            rows(&context, sql).await
        });
        assert_eq!(answer, expected);
        Ok(())
    };
    runner.run(&cases, test).unwrap();
}

//! One question per function that the workload stands on.

#![allow(clippy::unwrap_used, missing_docs)] // A bench that cannot go on has failed.

use criterion::{Criterion, criterion_group, criterion_main};
use habitue_benches::{ingested, shop_ndjson};
use tokio::runtime::Runtime;

const QUESTIONS: [(&str, &str); 13] = [
    (
        "funnel",
        "SELECT * FROM funnel(event = 'product_view', event = 'add_to_cart', event = 'purchase', \
         within => INTERVAL '7' DAY)",
    ),
    (
        "window_funnel",
        "SELECT level, count(*) FROM (SELECT window_funnel(INTERVAL '7' DAY, ts, \
         event = 'product_view', event = 'add_to_cart', event = 'purchase') AS level \
         FROM events GROUP BY customer_id) GROUP BY level",
    ),
    ("cohort_retention", "SELECT * FROM cohort_retention(unit => 'month')"),
    ("rfm", "SELECT segment, count(*) FROM rfm(as_of => DATE '2025-12-31') GROUP BY segment"),
    (
        "sessionize",
        "SELECT max(session) FROM (SELECT sessionize(ts, INTERVAL '30' MINUTE) \
         OVER (PARTITION BY customer_id ORDER BY ts) AS session FROM events)",
    ),
    ("event_paths", "SELECT * FROM event_paths(steps => 3) ORDER BY times DESC LIMIT 20"),
    ("attribution", "SELECT * FROM attribution(touch => channel, model => 'position')"),
    ("lookalike", "SELECT * FROM lookalike(seed => 1, size => 100)"),
    ("customer_profile", "SELECT sum(spent) FROM customer_profile()"),
    (
        "distinct_customers",
        "SELECT date_trunc('day', ts), channel, count(DISTINCT customer_id) FROM events \
         GROUP BY 1, 2",
    ),
    (
        "json_member",
        "SELECT properties->>'country', count(DISTINCT customer_id) FROM events GROUP BY 1",
    ),
    (
        "segment_pruning",
        "SELECT count(*), sum(amount) FROM events WHERE in_segment(customer_id, 'few')",
    ),
    ("scan", "SELECT count(event_id), count(properties) FROM events"),
];

/// One customer in a hundred.
const SEGMENT: &str = "CREATE SEGMENT few AS SELECT customer_id FROM events \
                       WHERE customer_id % 100 = 7 GROUP BY customer_id";

fn questions(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let text = shop_ndjson(1_000);
    let (engine, _) = runtime.block_on(ingested(&text)).unwrap();
    runtime.block_on(engine.sql_all(SEGMENT)).unwrap();
    let mut group = criterion.benchmark_group("questions");
    group.sample_size(20);
    for (name, sql) in QUESTIONS {
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(engine.sql_all(sql)).unwrap().len());
        });
    }
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);

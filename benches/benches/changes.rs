//! What changes a database: a commit, a link between identifiers, a refresh of segments.

#![allow(clippy::unwrap_used, missing_docs)] // A bench that cannot go on has failed.

use criterion::{Criterion, criterion_group, criterion_main};
use habitue_benches::{ingested, shop_ndjson};
use tokio::runtime::Runtime;

const SEGMENTS: [&str; 2] = [
    "CREATE SEGMENT buyers AS SELECT customer_id FROM events WHERE event = 'purchase' \
     GROUP BY customer_id",
    "CREATE SEGMENT regulars AS SELECT customer_id FROM events GROUP BY customer_id \
     HAVING count(DISTINCT CAST(ts AS DATE)) >= 5",
];

fn changes(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let text = shop_ndjson(1_000);
    let (engine, _) = runtime.block_on(ingested(&text)).unwrap();
    for segment in SEGMENTS {
        runtime.block_on(engine.sql_all(segment)).unwrap();
    }
    let run = |sql: &str| runtime.block_on(engine.sql_all(sql)).unwrap().len();
    let mut group = criterion.benchmark_group("changes");
    group.sample_size(10);
    let mut number = 0;
    group.bench_function("commit", |bencher| {
        bencher.iter(|| {
            number += 1;
            run(&format!(
                "INSERT INTO events (event_id, ts, event, user_id) VALUES \
                 ('bench-{number}', '2025-06-01T00:00:00Z', 'visit', 'bench-{number}')"
            ))
        });
    });
    group.bench_function("stitch", |bencher| {
        bencher.iter(|| {
            run("LINK user_id 'bench-1' TO user_id 'bench-2' FORCE")
                + run("UNLINK user_id 'bench-1' FROM user_id 'bench-2'")
        });
    });
    group.bench_function("refresh", |bencher| bencher.iter(|| run("REFRESH ALL SEGMENTS")));
    group.finish();
}

criterion_group!(benches, changes);
criterion_main!(benches);

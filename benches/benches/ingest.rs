//! NDJSON to committed, stitched events, in memory.

#![allow(clippy::unwrap_used, missing_docs)] // A bench that cannot go on has failed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use habitue_benches::{ingested, shop_ndjson};
use tokio::runtime::Runtime;

fn ingest(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let text = shop_ndjson(1_000);
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(text.lines().count() as u64));
    group.sample_size(10);
    group.bench_function("ndjson", |bencher| {
        bencher.iter(|| runtime.block_on(ingested(&text)).unwrap().1.events_accepted);
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);

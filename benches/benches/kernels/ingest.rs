//! `ingest`: NDJSON to committed, stitched events, into an empty database.

use crate::shop::Shop;
use criterion::{Criterion, Throughput};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(Shop::events().lines().count() as u64));
    group.bench_function("ndjson", |bencher| bencher.iter_with_large_drop(Shop::new));
    group.finish();
}

//! The kernels of a customer database, each in a file of its name.
//!
//! `cargo bench -p habitue-benches -- funnel` runs one of them, without a name all.

#![allow(clippy::unwrap_used, missing_docs)] // A bench that cannot go on has failed.

mod commit;
mod customer_functions;
mod funnel;
mod ingest;
mod refresh;
mod scan;
mod segment_pruning;
mod sessions;
mod shop;
mod stitch;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

fn briefly() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = briefly();
    targets =
        ingest::bench,
        commit::bench,
        stitch::bench,
        scan::bench,
        funnel::bench,
        sessions::bench,
        segment_pruning::bench,
        refresh::bench,
        customer_functions::bench,
}
criterion_main!(benches);

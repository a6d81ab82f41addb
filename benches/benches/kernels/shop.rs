//! The database that the kernels work on: a shop's year in memory.

use criterion::Criterion;
use habitue::{Engine, IngestRequest, IngestSummary, Input};
use habitue_benches::{ingested, shop_ndjson};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const CUSTOMERS: u32 = 1_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static EVENTS: LazyLock<String> = LazyLock::new(|| shop_ndjson(CUSTOMERS));
static SHARED: LazyLock<Shop> = LazyLock::new(|| {
    let shop = Shop::new();
    shop.run(FEW);
    shop
});

/// One customer in a hundred.
const FEW: &str = "CREATE SEGMENT few AS SELECT customer_id FROM events \
                   WHERE customer_id % 100 = 7 GROUP BY customer_id";

/// A database with the shop's events.
pub(crate) struct Shop {
    engine: Engine,
}

impl Shop {
    /// The events as they come in: NDJSON.
    pub(crate) fn events() -> &'static str {
        &EVENTS
    }

    /// One database for all benches that only read, with a segment `few`. It is made when the first
    /// of them runs.
    pub(crate) fn shared() -> &'static Self {
        &SHARED
    }

    /// A database for a bench that changes it.
    pub(crate) fn new() -> Self {
        let (engine, _) = RUNTIME.block_on(ingested(Self::events())).unwrap();
        Self { engine }
    }

    /// Runs a statement; answers how many batches came back.
    pub(crate) fn run(&self, sql: &str) -> usize {
        RUNTIME.block_on(self.engine.sql_all(sql)).unwrap().len()
    }

    /// Takes in more events.
    pub(crate) fn ingest(&self, ndjson: String) -> IngestSummary {
        let input = Input::from_bytes("more.ndjson", ndjson);
        RUNTIME.block_on(self.engine.ingest(IngestRequest::new(input))).unwrap()
    }
}

/// Measures questions to the shared database, each as `kernel/name`.
pub(crate) fn ask(criterion: &mut Criterion, kernel: &str, questions: &[(&str, &str)]) {
    let mut group = criterion.benchmark_group(kernel);
    for (name, sql) in questions {
        group.bench_function(*name, |bencher| {
            let shop = Shop::shared();
            bencher.iter(|| shop.run(sql));
        });
    }
    group.finish();
}

/// Measures a change as `kernel/name`. Each sample begins with a database that `prepare` made, so
/// that what earlier samples added slows nobody down; `change` gets the number of its turn.
pub(crate) fn change<Made>(
    criterion: &mut Criterion,
    [kernel, name]: [&str; 2],
    prepare: impl Fn() -> Made,
    change: impl Fn(&Made, u64) -> Duration,
) {
    let mut group = criterion.benchmark_group(kernel);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|turns| {
            let made = prepare();
            (0..turns).map(|turn| change(&made, turn)).sum()
        });
    });
    group.finish();
}

/// How long this takes.
pub(crate) fn timed<Answer>(work: impl FnOnce() -> Answer) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

//! `scan`: every event is read, and as little as possible is done with it.

use crate::shop::ask;
use criterion::Criterion;

pub(crate) fn bench(criterion: &mut Criterion) {
    ask(
        criterion,
        "scan",
        &[
            ("numbers", "SELECT max(ts), max(customer_id), sum(amount) FROM events"),
            ("texts", "SELECT count(event_id), count(properties) FROM events"),
            ("all_columns", "SELECT * FROM events"),
        ],
    );
}

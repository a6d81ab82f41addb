//! `commit`: one event, as a version of its own.

use crate::shop::{Shop, change, timed};
use criterion::Criterion;

pub(crate) fn bench(criterion: &mut Criterion) {
    change(criterion, ["commit", "one_event"], Shop::new, |shop, turn| {
        let insert = format!(
            "INSERT INTO events (event_id, ts, event, user_id) \
             VALUES ('commit-{turn}', '2025-06-01T00:00:00Z', 'visit', 'commit')"
        );
        timed(|| shop.run(&insert))
    });
}

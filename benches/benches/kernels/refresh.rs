//! `refresh`: segments after one event, which only its customer can have changed, and after an event
//! of everybody.

use crate::shop::{Shop, change, timed};
use criterion::Criterion;

const SEGMENTS: [&str; 2] = [
    "CREATE SEGMENT buyers AS SELECT customer_id FROM events WHERE event = 'purchase' \
     GROUP BY customer_id",
    "CREATE SEGMENT regulars AS SELECT customer_id FROM events GROUP BY customer_id \
     HAVING count(DISTINCT CAST(ts AS DATE)) >= 5",
];

pub(crate) fn bench(criterion: &mut Criterion) {
    change(criterion, ["refresh", "after_one_event"], shop_with_segments, |shop, turn| {
        shop.run(&format!(
            "INSERT INTO events (event_id, ts, event, user_id) \
             VALUES ('refresh-{turn}', '2025-06-01T00:00:00Z', 'visit', 'refresh')"
        ));
        timed(|| shop.run("REFRESH ALL SEGMENTS"))
    });
    change(criterion, ["refresh", "whole"], shop_with_segments, |shop, turn| {
        shop.run(&format!(
            "INSERT INTO events (event_id, ts, event, anonymous_id) \
             SELECT concat('refresh-{turn}-', value), '2025-06-01T00:00:00Z', 'visit', value \
             FROM identifiers WHERE namespace = 'anonymous_id'"
        ));
        timed(|| shop.run("REFRESH ALL SEGMENTS"))
    });
}

fn shop_with_segments() -> Shop {
    let shop = Shop::new();
    for segment in SEGMENTS {
        shop.run(segment);
    }
    shop
}

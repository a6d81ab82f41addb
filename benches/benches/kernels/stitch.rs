//! `stitch`: who is who, from events that link identifiers, from a link by hand, and from nothing.

use crate::shop::{Shop, ask, change, timed};
use criterion::Criterion;
use std::fmt::Write;

const PEOPLE: u64 = 500;

/// All devices and logins of the events again, without what is known about them.
const COMPONENTS: &str = "SELECT count(*) FROM connected_components(events, anonymous_id, user_id)";

pub(crate) fn bench(criterion: &mut Criterion) {
    change(criterion, ["stitch", "new_events"], Shop::new, |shop, turn| {
        let ndjson = logins(turn);
        timed(|| shop.ingest(ndjson))
    });
    change(criterion, ["stitch", "link_and_unlink"], shop_with_logins, |shop, _| {
        timed(|| {
            shop.run("LINK user_id 'stitch-0-0' TO user_id 'stitch-0-1' FORCE")
                + shop.run("UNLINK user_id 'stitch-0-0' FROM user_id 'stitch-0-1'")
        })
    });
    ask(
        criterion,
        "stitch",
        &[("rebuild", "REBUILD IDENTITIES VERIFY"), ("connected_components", COMPONENTS)],
    );
}

fn shop_with_logins() -> Shop {
    let shop = Shop::new();
    shop.ingest(logins(0));
    shop
}

/// New people who each log in on two new devices: two events, two links.
fn logins(turn: u64) -> String {
    let mut ndjson = String::new();
    for event in 0..2 * PEOPLE {
        let person = event / 2;
        writeln!(
            ndjson,
            "{{\"event_id\":\"stitch-{turn}-{event}\",\"ts\":\"2025-06-01T00:00:00Z\",\
             \"event\":\"login\",\"anonymous_id\":\"stitch-{turn}-{event}\",\
             \"user_id\":\"stitch-{turn}-{person}\"}}"
        )
        .unwrap();
    }
    ndjson
}

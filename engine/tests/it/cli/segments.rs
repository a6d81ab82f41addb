//! `habitue segments`.

use super::{Place, habitue};

fn place_with_segments() -> Place {
    let place = Place::with_events();
    place.ask(
        "CREATE SEGMENT buyers COMMENT 'bought' AS \
         SELECT DISTINCT customer_id FROM events WHERE event = 'purchase'",
    );
    place.ask(
        "CREATE SEGMENT big AS SELECT customer_id FROM events \
         WHERE in_segment(customer_id, 'buyers') AND amount > 50",
    );
    place
}

#[test]
fn segments_are_listed_and_refreshed() {
    let place = place_with_segments();
    let database = place.database();
    let said = habitue(&["segments", &database, "refresh"]).output();
    assert!(said.contains("buyers") && said.contains("big"), "{said}");
    let listed = habitue(&["segments", &database, "--format", "ndjson"]).output();
    let members = listed.lines().map(|line| {
        let segment: serde_json::Value = serde_json::from_str(line).unwrap();
        (segment["name"].as_str().unwrap().to_owned(), segment["customers"].as_u64())
    });
    let members: Vec<_> = members.collect();
    assert_eq!(members, [("big".into(), Some(1)), ("buyers".into(), Some(2))]);
}

#[test]
fn one_segment_is_refreshed_by_name() {
    let place = place_with_segments();
    let database = place.database();
    let said = habitue(&["segments", &database, "refresh", "buyers"]).output();
    assert!(said.contains("buyers") && !said.contains("big"), "{said}");
    let complaint = habitue(&["segments", &database, "refresh", "byers"]).complaint(1);
    assert!(complaint.contains("did you mean 'buyers'?"), "{complaint}");
}

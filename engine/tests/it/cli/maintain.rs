//! `habitue maintain`.

use super::{Place, VISITS, habitue, habitue_reading};

#[test]
fn data_files_are_compacted_and_old_versions_forgotten() {
    let place = Place::with_events();
    let database = place.database();
    let more = VISITS.replace("\"event_id\":\"", "\"event_id\":\"x");
    habitue_reading(&more, &["ingest", &database, "-"]).output();
    let said = habitue(&["maintain", &database]).output();
    assert!(said.starts_with("compacted 10 rows of 2 data files into 1 data file\n"), "{said}");
    let again = habitue(&["maintain", &database]).output();
    assert_eq!(again, "nothing to compact\n");
    assert_eq!(place.ask("SELECT count(*) AS n FROM events"), "n\n10\n");

    let dry = ["maintain", &database, "--keep-last", "1", "--grace", "0s", "--dry-run"];
    let would = habitue(&dry).output();
    assert!(would.contains("would be forgotten") && would.contains("would be deleted"), "{would}");
    let commits = place.ask("SELECT count(*) AS n FROM system.commits");
    let said = habitue(&dry[..dry.len() - 1]).output();
    assert!(said.contains(" forgotten, the oldest readable one is "), "{said}");
    assert_ne!(commits, "n\n0\n");
    assert_eq!(place.ask("SELECT count(*) AS n FROM events"), "n\n10\n");
    habitue(&["verify", &database]).output();
}

//! `habitue demo`, the first thing that anybody runs.

use super::{Place, habitue, text};

#[test]
fn the_demo_reports_on_a_small_shop() {
    let place = Place::new();
    let folder = text(place.path().join("demo"));
    let said = habitue(&["demo", "--dir", &folder, "--customers", "150"]).output();
    let parts = [
        "A year of a coffee shop",
        "What came in",
        "duplicates left out",
        "rows rejected",
        "Five segments",
        "Why rows were rejected",
        "Who the customers are",
        "Funnel",
        "Cohorts",
        "RFM",
        "Champions",
        "Try next",
    ];
    for part in parts {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    // What it says to try next works as it stands.
    let commands: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("  $ ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    let database = format!("{folder}/shop");
    assert!(habitue(&["verify", &database]).output().contains("no problems"));
    let events = format!("{folder}/events.ndjson");
    let again = habitue(&["ingest", &database, &events]).output();
    assert!(again.contains("nothing changed"), "{again}");
    let kept = habitue(&["demo", "--dir", &folder, "--keep"]).output();
    assert!(kept.contains("Champions") && !kept.contains("What came in"), "{kept}");
}

#[test]
fn the_demo_leaves_other_folders_alone() {
    let place = Place::new();
    place.file("thesis.tex", "years of work");
    let folder = text(place.path().to_owned());
    let complaint = habitue(&["demo", "--dir", &folder]).complaint(1);
    assert!(complaint.contains("not empty and not the demo's"), "{complaint}");
    assert!(complaint.contains("--dir"), "{complaint}");
}

//! `habitue ingest`.

use super::{Place, VISITS, habitue, habitue_reading};

/// The text without the numbers that differ from run to run: times, rates and sizes.
fn without_measures(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.split_once(" accepted in ").map_or(line, |(events, _)| events);
        line.split_once(" data file").map_or(line, |(version, _)| version)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_summary_says_what_became_of_every_row() {
    let place = Place::with_database();
    let file = place.file("visits.ndjson", VISITS);
    let said = habitue(&["ingest", &place.database(), &file]).output();
    let expected = "\
visits.ndjson: 5 events
  1 duplicate left out
  1 row rejected, see system.rejected_events:
    row 7: ts is missing
  4 identifiers new, 2 customers new
  version 2, 1";
    assert_eq!(without_measures(&said), expected);
}

#[test]
fn the_same_file_again_changes_nothing() {
    let place = Place::with_events();
    let file = place.file("visits.ndjson", VISITS);
    let said = habitue(&["ingest", &place.database(), &file]).output();
    assert!(said.contains("  6 duplicates left out\n"), "{said}");
    assert!(said.ends_with("  nothing changed\n"), "{said}");
    assert_eq!(place.ask("SELECT count(*) AS n FROM events"), "n\n5\n");
    assert_eq!(place.ask("SELECT count(*) AS n FROM system.rejected_events"), "n\n1\n");
}

#[test]
fn programs_get_the_summary_as_json() {
    let place = Place::with_database();
    let arguments = ["ingest", &place.database(), "-", "--json", "--source", "pipe"];
    let said = habitue_reading(VISITS, &arguments).output();
    let summary: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(summary["source"], "pipe");
    assert_eq!(summary["events_accepted"], 5);
    assert_eq!(summary["duplicates"], 1);
    assert_eq!(summary["rejected"], 1);
    assert_eq!(summary["customers_new"], 2);
}

#[test]
fn too_many_rejects_commit_nothing() {
    let place = Place::with_database();
    let file = place.file("visits.ndjson", VISITS);
    let arguments = ["ingest", &place.database(), &file, "--max-rejects", "0"];
    let complaint = habitue(&arguments).complaint(1);
    assert!(complaint.starts_with("error: too many rejected rows, nothing was committed."));
    assert!(complaint.contains("ts is missing"), "{complaint}");
    assert_eq!(place.ask("SELECT count(*) AS n FROM events"), "n\n0\n");
}

#[test]
fn any_table_is_brought_in_by_a_select() {
    let place = Place::with_database();
    let orders = "day,client,total\n2026-02-01,ada,10.50\n2026-02-02,bob,7\n";
    let file = place.file("orders.csv", orders);
    let select = "SELECT day AS ts, 'purchase' AS event, client AS user_id, total AS amount\n\
        FROM input;";
    let query = place.file("orders.sql", select);
    for way in [["--select", select], ["--select-file", &query]] {
        let said = habitue(&["ingest", &place.database(), &file, way[0], way[1]]).output();
        assert!(said.starts_with("orders.csv: "), "{said}");
    }
    // The second way found the same rows again.
    assert_eq!(place.ask("SELECT sum(amount) AS total FROM events"), "total\n17.5000\n");
}

#[test]
fn a_missing_file_and_a_missing_database_are_told_apart() {
    let place = Place::with_database();
    let complaint = habitue(&["ingest", &place.database(), "nowhere.csv"]).complaint(1);
    assert!(complaint.starts_with("error: cannot open input. name=nowhere.csv\n"), "{complaint}");
    assert!(complaint.contains("  because: No such file or directory"), "{complaint}");
    let elsewhere = place.path().join("other").display().to_string();
    let complaint = habitue(&["ingest", &elsewhere, "nowhere.csv"]).complaint(1);
    assert!(complaint.starts_with("error: no database here. url="), "{complaint}");
    assert!(complaint.contains("habitue init"), "{complaint}");
}

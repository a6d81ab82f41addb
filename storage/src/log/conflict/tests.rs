//! The table of the module, cell by cell. Breaks for a user if this fails: a missed conflict gives
//! one event two rows or one number to two identifiers.

use super::*;
use crate::log::action::{
    DataFile, DictionaryRun, IdentityMapRef, LinkFile, ObjectRef, PartitionUnit, RejectedFile,
    SegmentVersion, SortedBy,
};

fn object(path: &str) -> ObjectRef {
    ObjectRef { path: path.into(), bytes: 1, crc32: 0 }
}

fn data_file(path: &str) -> Action {
    Action::AddDataFile(DataFile {
        object: object(path),
        index: object("index"),
        rows: 1,
        ts_min_us: 0,
        ts_max_us: 0,
        partition_unit: PartitionUnit::Day,
        partition_start_us: 0,
        event_names: None,
        identifier_min: None,
        identifier_max: None,
        sorted_by: SortedBy::Identifier,
        ingested_from: 1,
        ingested_to: 1,
    })
}

fn run(first_id: u32) -> DictionaryRun {
    DictionaryRun { object: object("run"), first_id, count: 1 }
}

fn links() -> LinkFile {
    LinkFile { object: object("links"), links: 1 }
}

fn map() -> Action {
    Action::SetIdentityMap(IdentityMapRef::default())
}

fn segment(segment_id: u32) -> Action {
    Action::AddSegmentVersion(SegmentVersion {
        segment_id,
        number: 1,
        members: object("members"),
        entered: object("entered"),
        left: object("left"),
        customers: 0,
        customers_entered: 0,
        customers_left: 0,
        computed_at: 1,
        refreshed_at_us: 0,
        computation: None,
    })
}

fn removal(path: &str) -> Action {
    Action::RemoveDataFile { path: path.into() }
}

type Commit = (Operation, Vec<Action>);

fn ingest_of_anonymous_events() -> Commit {
    (Operation::Ingest, vec![data_file("new")])
}

fn ingest_of_new_identifiers() -> Commit {
    (Operation::Ingest, vec![Action::AddDictionaryRun(run(3)), data_file("new"), map()])
}

fn ingest_of_links() -> Commit {
    (Operation::Ingest, vec![Action::AddLinks(links()), data_file("new"), map()])
}

fn ingest_of_rejects_only() -> Commit {
    let rejected = RejectedFile { object: object("rejected"), rows: 1 };
    (Operation::Ingest, vec![Action::AddRejected(rejected)])
}

fn compaction(removed: &[&str]) -> Commit {
    let removals = removed.iter().map(|path| removal(path));
    (Operation::Compact, removals.chain([data_file("merged")]).collect())
}

fn map_compaction() -> Commit {
    (Operation::CompactIdentities, vec![map()])
}

fn run_compaction() -> Commit {
    let action = Action::ReplaceDictionaryRuns { removed: vec!["a".into()], added: vec![run(0)] };
    (Operation::CompactIdentities, vec![action])
}

fn link_compaction() -> Commit {
    let action = Action::ReplaceLinks { removed: vec!["a".into()], added: vec![links()] };
    (Operation::CompactIdentities, vec![action])
}

fn refresh(segments: &[u32]) -> Commit {
    (Operation::RefreshSegments, segments.iter().map(|id| segment(*id)).collect())
}

fn catalog() -> Commit {
    (Operation::ChangeCatalog, vec![Action::SetCatalog(object("catalog"))])
}

fn drop_of_segment(segment_id: u32) -> Commit {
    let drop = Action::DropSegment { segment_id };
    (Operation::ChangeCatalog, vec![Action::SetCatalog(object("catalog")), drop])
}

fn expiry() -> Commit {
    let action = Action::ExpireVersions { oldest_readable: 1, objects_before_us: 0 };
    (Operation::ExpireVersions, vec![action])
}

fn entry((operation, actions): Commit) -> LogEntry {
    LogEntry {
        format: 1,
        version: 2,
        attempt: "theirs".into(),
        committed_at_us: 0,
        operation,
        events_added: 0,
        actions,
    }
}

/// Every rule holds whoever was first.
fn assert_both_ways(wanted: bool, left: &Commit, right: &Commit) {
    for (draft, theirs) in [(left, right), (right, left)] {
        let found = conflicts(draft.0, &draft.1, &entry(theirs.clone()));
        assert_eq!(found, wanted, "draft {draft:?}\nentry {theirs:?}");
    }
}

#[test]
fn two_ingests_conflict_whatever_they_bring() {
    let ingests = [ingest_of_anonymous_events(), ingest_of_new_identifiers(), ingest_of_links()];
    for left in &ingests {
        for right in &ingests {
            assert_both_ways(true, left, right);
        }
    }
}

#[test]
fn rejected_rows_conflict_with_rejected_rows() {
    assert_both_ways(true, &ingest_of_rejects_only(), &ingest_of_rejects_only());
    for other in [ingest_of_links(), catalog(), compaction(&["a"])] {
        assert_both_ways(false, &ingest_of_rejects_only(), &other);
    }
}

#[test]
fn compaction_and_ingest_do_not_conflict() {
    assert_both_ways(false, &compaction(&["a", "b"]), &ingest_of_new_identifiers());
    assert_both_ways(false, &compaction(&["a", "b"]), &ingest_of_links());
}

#[test]
fn compactions_conflict_when_they_remove_the_same_file() {
    assert_both_ways(true, &compaction(&["a", "b"]), &compaction(&["b", "c"]));
    assert_both_ways(false, &compaction(&["a", "b"]), &compaction(&["c", "d"]));
}

#[test]
fn two_identity_maps_conflict() {
    assert_both_ways(true, &map_compaction(), &map_compaction());
    assert_both_ways(true, &map_compaction(), &ingest_of_new_identifiers());
    let numbers_without_map = (Operation::Ingest, vec![Action::AddDictionaryRun(run(3))]);
    assert_both_ways(true, &map_compaction(), &numbers_without_map);
    assert_both_ways(false, &map_compaction(), &ingest_of_anonymous_events());
}

#[test]
fn compacted_runs_and_links_stand_beside_new_ones() {
    assert_both_ways(true, &run_compaction(), &run_compaction());
    assert_both_ways(true, &link_compaction(), &link_compaction());
    assert_both_ways(false, &run_compaction(), &link_compaction());
    assert_both_ways(false, &run_compaction(), &ingest_of_new_identifiers());
    assert_both_ways(false, &link_compaction(), &ingest_of_links());
    assert_both_ways(false, &run_compaction(), &compaction(&["a"]));
}

#[test]
fn segments_conflict_when_they_are_the_same() {
    assert_both_ways(true, &refresh(&[1, 2]), &refresh(&[2, 3]));
    assert_both_ways(false, &refresh(&[1, 2]), &refresh(&[3]));
    assert_both_ways(false, &refresh(&[1]), &ingest_of_links());
    assert_both_ways(false, &refresh(&[1]), &compaction(&["a"]));
    assert_both_ways(true, &refresh(&[1]), &drop_of_segment(1));
}

#[test]
fn catalogs_conflict_with_all_that_follows_their_rules() {
    assert_both_ways(true, &catalog(), &catalog());
    assert_both_ways(true, &catalog(), &ingest_of_anonymous_events());
    assert_both_ways(true, &catalog(), &ingest_of_new_identifiers());
    assert_both_ways(true, &catalog(), &refresh(&[1]));
    assert_both_ways(false, &catalog(), &compaction(&["a"]));
    assert_both_ways(false, &catalog(), &run_compaction());
}

#[test]
fn expiry_conflicts_with_nothing() {
    let others = [
        expiry(),
        ingest_of_links(),
        compaction(&["a"]),
        map_compaction(),
        refresh(&[1]),
        catalog(),
    ];
    for other in others {
        assert_both_ways(false, &expiry(), &other);
    }
}

//! What an entry must keep to, given the snapshot below it.
//!
//! The writer asserts these rules before it commits and the reader checks them again, so that a
//! defect stops at the commit that makes it.

use super::action::{Action, DataFile, DictionaryRun, LogEntry, SegmentVersion};
use crate::snapshot::Snapshot;

/// The state after an entry, or the rule that the entry breaks.
pub(crate) fn apply_checked(below: &Snapshot, entry: &LogEntry) -> Result<Snapshot, String> {
    let mut snapshot = below.clone();
    advance(&mut snapshot, entry)?;
    Ok(snapshot)
}

/// Applies an entry in place. After an error the snapshot is of no use.
pub(crate) fn advance(snapshot: &mut Snapshot, entry: &LogEntry) -> Result<(), String> {
    if entry.version != snapshot.version + 1 {
        return Err(format!("version {} stands above {}", entry.version, snapshot.version));
    }
    if entry.committed_at_us <= snapshot.committed_at_us && snapshot.version > 0 {
        return Err("its time is not after the time of the entry below".into());
    }
    for action in &entry.actions {
        check_action(snapshot, action)?;
        snapshot.apply_action(action, entry.version);
        if matches!(action, Action::AddDictionaryRun(_) | Action::ReplaceDictionaryRuns { .. }) {
            check_runs(snapshot)?;
        }
    }
    snapshot.version = entry.version;
    snapshot.committed_at_us = entry.committed_at_us;
    Ok(())
}

fn check_action(below: &Snapshot, action: &Action) -> Result<(), String> {
    match action {
        Action::AddDataFile(file) => check_data_file(below, file),
        Action::RemoveDataFile { path } => {
            let is_there = below.data_files.contains_key(path);
            require(is_there, || format!("it removes data file {path}, which is not there"))
        }
        Action::AddDictionaryRun(run) => check_new_run(below, run),
        Action::ReplaceDictionaryRuns { removed, .. } => {
            let paths: Vec<&String> =
                below.dictionary_runs.values().map(|run| &run.object.path).collect();
            require(removed.iter().all(|path| paths.contains(&path)), || {
                "it replaces a dictionary run that is not there".into()
            })
        }
        Action::ReplaceLinks { removed, .. } => {
            require(removed.iter().all(|path| below.link_files.contains_key(path)), || {
                "it replaces a file of links that is not there".into()
            })
        }
        Action::SetIdentityMap(map) => require(map.identifiers <= below.identifiers(), || {
            format!("its identity map covers {} identifiers, which are not there", map.identifiers)
        }),
        Action::AddSegmentVersion(version) => check_segment_version(below, version),
        Action::ExpireVersions { oldest_readable, .. } => {
            require(*oldest_readable <= below.version + 1, || {
                format!("it expires versions below {oldest_readable}, which is not there")
            })
        }
        Action::AddLinks(_)
        | Action::AddRejected(_)
        | Action::SetCatalog(_)
        | Action::DropSegment { .. } => Ok(()),
    }
}

fn check_data_file(below: &Snapshot, file: &DataFile) -> Result<(), String> {
    let path = &file.object.path;
    require(!below.data_files.contains_key(path), || format!("it adds data file {path} twice"))?;
    require(file.rows > 0, || format!("data file {path} has no rows"))?;
    require(file.ts_min_us <= file.ts_max_us, || format!("data file {path} ends before it begins"))
}

fn check_new_run(below: &Snapshot, run: &DictionaryRun) -> Result<(), String> {
    let next = below.identifiers();
    require(run.first_id == next, || {
        format!("its dictionary run begins at identifier {}, wanted {next}", run.first_id)
    })
}

/// The runs together hold each number from 0 once.
fn check_runs(snapshot: &Snapshot) -> Result<(), String> {
    let mut next = 0_u32;
    for (first, run) in &snapshot.dictionary_runs {
        require(*first == next && run.first_id == next && run.count > 0, || {
            format!("a dictionary run begins at identifier {first}, wanted {next}")
        })?;
        next = next.checked_add(run.count).ok_or("identifiers overflow 32 bits")?;
    }
    Ok(())
}

fn check_segment_version(below: &Snapshot, version: &SegmentVersion) -> Result<(), String> {
    let versions = below.segment_versions.get(&version.segment_id);
    let next = versions.and_then(|versions| versions.last()).map_or(1, |last| last.number + 1);
    require(version.number == next, || {
        let SegmentVersion { segment_id, number, .. } = version;
        format!("it makes version {number} of segment {segment_id}, wanted {next}")
    })
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

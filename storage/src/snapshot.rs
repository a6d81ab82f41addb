//! The state of the database at one version: what a reader pins.

use crate::log::action::{
    Action, DataFile, DictionaryRun, IdentityMapRef, LinkFile, LogEntry, ObjectRef, Operation,
    RejectedFile, SegmentVersion,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of `system.commits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitSummary {
    /// The version it made.
    pub version: u64,
    /// When, µs since the epoch.
    pub committed_at_us: i64,
    /// What kind of work.
    pub operation: Operation,
    /// Events added.
    pub events_added: u64,
    /// Actions in it.
    pub actions: u64,
}

/// Everything that the log says up to one version. Immutable; shared by all who read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version.
    pub version: u64,
    /// When its last commit was made, µs since the epoch.
    pub committed_at_us: i64,
    /// The data files by path.
    pub data_files: BTreeMap<String, DataFile>,
    /// The dictionary runs by first id.
    pub dictionary_runs: BTreeMap<u32, DictionaryRun>,
    /// The link files by path.
    pub link_files: BTreeMap<String, LinkFile>,
    /// The identity map.
    pub identity_map: IdentityMapRef,
    /// The catalog; `None` before the first one is written.
    pub catalog: Option<ObjectRef>,
    /// The versions of each segment, oldest first.
    pub segment_versions: BTreeMap<u32, Vec<SegmentVersion>>,
    /// The rejected rows by path.
    pub rejected_files: BTreeMap<String, RejectedFile>,
    /// Versions below this one cannot be read any more.
    pub oldest_readable: u64,
    /// The last version that changed the dictionary, the links or the identity map.
    pub identity_version: u64,
}

impl Snapshot {
    /// How many events it holds.
    pub fn rows(&self) -> u64 {
        self.data_files.values().map(|file| file.rows).sum()
    }

    /// How many identifiers it holds; also the number that the next one gets.
    pub fn identifiers(&self) -> u32 {
        self.dictionary_runs.last_key_value().map_or(0, |(first, run)| first + run.count)
    }

    /// The state after one more entry.
    pub fn apply(&mut self, entry: &LogEntry) {
        self.version = entry.version;
        self.committed_at_us = entry.committed_at_us;
        for action in &entry.actions {
            self.apply_action(action, entry.version);
        }
    }

    /// The actions that would make it out of nothing.
    pub(crate) fn as_actions(&self) -> Vec<Action> {
        let files = self.data_files.values().cloned().map(Action::AddDataFile);
        let runs = self.dictionary_runs.values().cloned().map(Action::AddDictionaryRun);
        let links = self.link_files.values().cloned().map(Action::AddLinks);
        let rejected = self.rejected_files.values().cloned().map(Action::AddRejected);
        let segments = self.segment_versions.values().flatten().cloned();
        let map = Action::SetIdentityMap(self.identity_map.clone());
        files
            .chain(runs)
            .chain(links)
            .chain(rejected)
            .chain(segments.map(Action::AddSegmentVersion))
            .chain([map])
            .chain(self.catalog.clone().map(Action::SetCatalog))
            .collect()
    }

    /// About how much memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        const BYTES_PER_OBJECT: usize = 400;
        self.objects().count() * BYTES_PER_OBJECT
    }

    /// All objects that it names: whoever reads this version may read these.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        let files = self.data_files.values().flat_map(DataFile::objects);
        let runs = self.dictionary_runs.values().map(|run| &run.object);
        let links = self.link_files.values().map(|file| &file.object);
        let rejected = self.rejected_files.values().map(|file| &file.object);
        let segments = self.segment_versions.values().flatten().flat_map(SegmentVersion::objects);
        files
            .chain(runs)
            .chain(links)
            .chain(rejected)
            .chain(segments)
            .chain(self.identity_map.objects())
            .chain(&self.catalog)
    }

    pub(crate) fn apply_action(&mut self, action: &Action, version: u64) {
        match action {
            Action::AddDataFile(file) => {
                let mut file = file.clone();
                if file.ingested_to == 0 {
                    (file.ingested_from, file.ingested_to) = (version, version);
                }
                self.data_files.insert(file.object.path.clone(), file);
            }
            Action::RemoveDataFile { path } => {
                self.data_files.remove(path);
            }
            Action::AddDictionaryRun(run) => {
                self.dictionary_runs.insert(run.first_id, run.clone());
                self.identity_version = version;
            }
            Action::ReplaceDictionaryRuns { removed, added } => {
                self.dictionary_runs.retain(|_, run| !removed.contains(&run.object.path));
                self.dictionary_runs.extend(added.iter().map(|run| (run.first_id, run.clone())));
            }
            Action::AddLinks(file) => {
                self.link_files.insert(file.object.path.clone(), file.clone());
                self.identity_version = version;
            }
            Action::ReplaceLinks { removed, added } => {
                self.link_files.retain(|path, _| !removed.contains(path));
                self.link_files
                    .extend(added.iter().map(|file| (file.object.path.clone(), file.clone())));
            }
            Action::SetIdentityMap(map) => {
                self.identity_map = map.clone();
                self.identity_version = version;
            }
            Action::AddRejected(file) => {
                self.rejected_files.insert(file.object.path.clone(), file.clone());
            }
            Action::SetCatalog(object) => self.catalog = Some(object.clone()),
            Action::AddSegmentVersion(segment) => {
                self.segment_versions.entry(segment.segment_id).or_default().push(segment.clone());
            }
            Action::DropSegment { segment_id } => {
                self.segment_versions.remove(segment_id);
            }
            Action::ExpireVersions { oldest_readable, .. } => {
                self.oldest_readable = self.oldest_readable.max(*oldest_readable);
            }
        }
    }
}

//! Whether a draft may stand above an entry that it did not know.
//!
//! A pure function of what both do. When in doubt the answer is yes: a needless conflict costs the
//! writer a second try, a missed one costs data.
//!
//! | draft \ entry | ingest | compact | identities compacted | segment s | catalog | expiry |
//! |---|---|---|---|---|---|---|
//! | ingest | yes: event ids, numbers | no | if it sets the map | no | yes: namespaces | no |
//! | compact | no | if it removed a file of ours | no | no | no | no |
//! | identities compacted | if it changes the map | no | yes | no | no | no |
//! | segment s | no | no | no | yes | yes: definitions | no |
//! | catalog | yes | no | no | yes | yes | no |
//!
//! Expiry conflicts with nothing here; whether the objects of an old draft may be gone is checked
//! where a draft passes over it, see [`commit`](super::commit).

use super::action::{Action, LogEntry, Operation};

/// Whether the draft must be made anew because of this entry.
pub fn conflicts(operation: Operation, draft: &[Action], entry: &LogEntry) -> bool {
    let theirs = Effects::of(entry.operation, &entry.actions);
    Effects::of(operation, draft).conflict_with(&theirs)
}

/// What a commit touches, in the words of the rules.
#[derive(Default)]
struct Effects<'a> {
    /// It brings events in: each event id was looked up in what stood below.
    ingests: bool,
    /// It gives numbers to identifiers.
    numbers: bool,
    /// It adds links, which were judged with those that stood below.
    links: bool,
    /// It replaces the identity map.
    map: bool,
    /// It keeps rejected rows, which were looked up among those that were kept before.
    rejects: bool,
    /// It merges dictionary runs.
    merges_runs: bool,
    /// It merges link files.
    merges_links: bool,
    catalog: bool,
    removed_files: Vec<&'a str>,
    segments: Vec<u32>,
}

impl<'a> Effects<'a> {
    fn of(operation: Operation, actions: &'a [Action]) -> Self {
        let mut effects = Self::default();
        for action in actions {
            match action {
                Action::AddDataFile(_) => {
                    effects.ingests |= operation != Operation::Compact;
                }
                Action::RemoveDataFile { path } => effects.removed_files.push(path),
                Action::AddDictionaryRun(_) => effects.numbers = true,
                Action::ReplaceDictionaryRuns { .. } => effects.merges_runs = true,
                Action::AddLinks(_) => effects.links = true,
                Action::ReplaceLinks { .. } => effects.merges_links = true,
                Action::SetIdentityMap(_) => effects.map = true,
                Action::SetCatalog(_) => effects.catalog = true,
                Action::AddSegmentVersion(version) => effects.segments.push(version.segment_id),
                Action::DropSegment { segment_id } => effects.segments.push(*segment_id),
                Action::AddRejected(_) => effects.rejects = true,
                Action::ExpireVersions { .. } => {}
            }
        }
        effects
    }

    fn conflict_with(&self, theirs: &Self) -> bool {
        self.both_ingest(theirs)
            || (self.rejects && theirs.rejects)
            || self.map_stands_against(theirs)
            || theirs.map_stands_against(self)
            || (self.merges_runs && theirs.merges_runs)
            || (self.merges_links && theirs.merges_links)
            || self.catalog_stands_against(theirs)
            || theirs.catalog_stands_against(self)
            || self.removed_files.iter().any(|path| theirs.removed_files.contains(path))
            || self.segments.iter().any(|segment| theirs.segments.contains(segment))
    }

    /// Either may have brought an event or an identifier of the other.
    fn both_ingest(&self, theirs: &Self) -> bool {
        self.adds_knowledge() && theirs.adds_knowledge()
    }

    fn adds_knowledge(&self) -> bool {
        self.ingests || self.numbers || self.links
    }

    /// A map is made of all identifiers and links that there are.
    fn map_stands_against(&self, other: &Self) -> bool {
        self.map && (other.map || other.numbers || other.links)
    }

    /// The log does not say what changed in a catalog: it may be the rules of a namespace, by
    /// which an ingest stitches, or the definition by which a segment was computed.
    fn catalog_stands_against(&self, other: &Self) -> bool {
        self.catalog && (other.catalog || other.adds_knowledge() || !other.segments.is_empty())
    }
}

#[cfg(test)]
mod tests;

//! The log from its first entry to its last, as far as it can be read.

use super::VerifyReport;
use super::object::{Role, roles_of};
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::layout;
use crate::log::action::{Action, ObjectRef};
use crate::log::{check, entry};
use crate::snapshot::Snapshot;
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap, HashSet};

/// So many entries are read at once.
const ENTRIES_AT_ONCE: usize = 64;

/// What the log says.
pub(super) struct History {
    /// The newest version; `None` when an entry below it cannot be read or breaks a rule.
    pub head: Option<Snapshot>,
    /// The attempt of each entry that could be read.
    pub attempts: BTreeMap<u64, String>,
    /// What readable versions name: the oldest readable one as actions, and all later actions.
    actions: Vec<Action>,
    named: HashSet<String>,
}

impl History {
    /// Reads all entries; what is wrong with them goes into the report.
    pub async fn read(bucket: &Bucket, report: &mut VerifyReport) -> Result<Self> {
        let last = last_version(bucket, report).await?;
        let mut reading = Reading::default();
        let mut entries = stream::iter(1..=last)
            .map(|version| async move { (version, entry::read(bucket, version).await) })
            .buffered(ENTRIES_AT_ONCE);
        while let Some((version, found)) = entries.next().await {
            reading.take(version, found, report);
        }
        report.newest_version = last;
        let history = reading.finish();
        report.oldest_version = history.oldest_version();
        history.note_contradictions(report);
        Ok(history)
    }

    /// The objects with what is known of each; one that serves twice is there twice.
    pub fn roles(&self) -> Vec<(ObjectRef, Role)> {
        let mut roles: Vec<_> = self.actions.iter().flat_map(roles_of).collect();
        let mut seen = HashSet::new();
        roles.retain(|(object, role)| seen.insert((object.path.clone(), role.clone())));
        roles
    }

    /// Whether a readable version names this path.
    pub fn names(&self, path: &str) -> bool {
        self.named.contains(path)
    }

    fn oldest_version(&self) -> u64 {
        self.head.as_ref().map_or(1, |head| head.oldest_readable.max(1))
    }

    fn note_contradictions(&self, report: &mut VerifyReport) {
        let mut references: HashMap<&str, &ObjectRef> = HashMap::new();
        for object in self.actions.iter().flat_map(Action::objects) {
            let first = references.entry(&object.path).or_insert(object);
            if *first != object {
                report.add(&object.path, "the log names it with two different sizes or checksums");
            }
        }
    }
}

#[derive(Default)]
struct Reading {
    snapshot: Snapshot,
    is_broken: bool,
    attempts: BTreeMap<u64, String>,
    /// The actions of each entry, to take those above the oldest readable version in the end.
    entries: Vec<(u64, Vec<Action>)>,
    oldest_readable: u64,
}

impl Reading {
    fn take(
        &mut self,
        version: u64,
        found: Result<Option<crate::log::action::LogEntry>>,
        report: &mut VerifyReport,
    ) {
        let path = layout::log_entry(version);
        let entry = match found {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                self.is_broken = true;
                return report.add(&path, "entry is missing, and later ones are there");
            }
            Err(error) => {
                self.is_broken = true;
                return report.add_error(&path, &error);
            }
        };
        report.objects += 1;
        if !self.is_broken
            && let Err(rule) = check::advance(&mut self.snapshot, &entry)
        {
            self.is_broken = true;
            report.add(&path, rule);
        }
        for action in &entry.actions {
            if let Action::ExpireVersions { oldest_readable, .. } = action {
                self.oldest_readable = self.oldest_readable.max(*oldest_readable);
            }
        }
        self.attempts.insert(version, entry.attempt);
        self.entries.push((version, entry.actions));
    }

    fn finish(self) -> History {
        let mut base = Snapshot::default();
        let mut actions = Vec::new();
        for (version, entry_actions) in self.entries {
            if version > self.oldest_readable.max(1) {
                actions.extend(entry_actions);
                continue;
            }
            for action in entry_actions {
                base.apply_action(&action, version);
            }
        }
        actions.extend(base.as_actions());
        let named = actions.iter().flat_map(Action::objects);
        let named = named.map(|object| object.path.clone()).collect();
        let head = (!self.is_broken).then_some(self.snapshot);
        History { head, attempts: self.attempts, actions, named }
    }
}

/// The last version that a listing or a question finds.
async fn last_version(bucket: &Bucket, report: &mut VerifyReport) -> Result<u64> {
    let mut last = 0;
    let mut listing = bucket.list(layout::LOG);
    while let Some(object) = listing.next().await.transpose()? {
        match layout::version_of_log_entry(&object.path) {
            Some(version) => last = last.max(version),
            None => report.add(&object.path, "it is no entry of the log"),
        }
    }
    while bucket.head(&layout::log_entry(last + 1)).await?.is_some() {
        last += 1;
    }
    if last == 0 {
        return Err(Error::NotADatabase { url: bucket.url().to_owned() });
    }
    Ok(last)
}

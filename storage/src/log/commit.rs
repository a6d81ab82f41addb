//! How a draft becomes a version.
//!
//! 1. The draft gets the next version above what it was based on, and a UUID of its own.
//! 2. Its entry is created if absent. Done, if the store says so.
//! 3. Any other answer, `AlreadyExists` too, says nothing: the request may have been repeated on
//!    the way, or have failed after it was carried out. So that version is read back.
//! 4. It holds our UUID: done, once the store repeats that the name is taken, which on a local
//!    disk makes it durable.
//! 5. It holds another's: if that [conflicts](super::conflict), the caller is told; if not, the
//!    draft tries the version above.
//! 6. It is absent or cannot be read: again, some times, at the same version, so that nothing can
//!    come out twice. Then the outcome is unknown, and the error says so.
//!
//! No object is ever deleted on the way: the attempt may yet turn out to have been made.

use super::action::{Action, LogEntry, Operation, THIS_COMMIT};
use super::{entry, replay};
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::layout;
use crate::snapshot::Snapshot;
use chrono::{DateTime, Utc};
use object_store::Error as StoreError;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Tries at one version before the outcome counts as unknown.
const TRIES: u32 = 5;
/// The pause after the first try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A change and what it was based on.
///
/// `based_on` must be a snapshot that was taken before the first of its new objects was written,
/// or that came with [`CommitOutcome::Conflict`]: so the commit sees each garbage collection that
/// may have taken an object of it for an orphan.
#[derive(Clone, Debug)]
pub struct DraftCommit {
    /// What was read to make it.
    pub based_on: Arc<Snapshot>,
    /// What kind of work it is.
    pub operation: Operation,
    /// Events that it adds, for people who read `system.commits`.
    pub events_added: u64,
    /// What it does, in order.
    pub actions: Vec<Action>,
}

/// What became of a draft.
#[derive(Clone, Debug)]
pub enum CommitOutcome {
    /// It is this version from now on, durable.
    Committed(Arc<Snapshot>),
    /// Another writer's commit stands against it. Nothing happened; its objects are still there
    /// and may be used in another draft that is based on this snapshot.
    Conflict {
        /// The version that stands against it.
        version: u64,
        /// The newest snapshot.
        snapshot: Arc<Snapshot>,
    },
}

/// A draft on its way up the log.
pub(crate) enum Climb {
    /// It became the version of this snapshot, with this entry.
    Made(Arc<Snapshot>, LogEntry),
    /// This version stands against it; the snapshot is of that version.
    Blocked(Arc<Snapshot>),
}

/// Who holds a version.
enum Holder {
    Us,
    Another(LogEntry),
}

impl DraftCommit {
    /// The entry that it would be above this snapshot. Time goes strictly up, whatever the clock
    /// of this machine says.
    fn entry_above(&self, below: &Snapshot, attempt: Uuid, now: DateTime<Utc>) -> LogEntry {
        let version = below.version + 1;
        LogEntry {
            format: entry::FORMAT,
            version,
            attempt: attempt.to_string(),
            committed_at_us: now.timestamp_micros().max(below.committed_at_us + 1),
            operation: self.operation,
            events_added: self.events_added,
            actions: self.actions.iter().map(|action| stamped(action, version)).collect(),
        }
    }
}

/// The action with its own version written in.
fn stamped(action: &Action, version: u64) -> Action {
    let mut action = action.clone();
    if let Action::AddDataFile(file) = &mut action {
        for ingested in [&mut file.ingested_from, &mut file.ingested_to] {
            if *ingested == THIS_COMMIT {
                *ingested = version;
            }
        }
    }
    action
}

/// Tries one version after the other until the draft holds one or may not go on.
pub(crate) async fn climb(bucket: &Bucket, draft: &DraftCommit, known_head: u64) -> Result<Climb> {
    let attempt = bucket.new_uuid();
    let mut below = Arc::clone(&draft.based_on);
    loop {
        let entry = draft.entry_above(&below, attempt, bucket.local_now());
        let is_taken = entry.version <= known_head;
        let holder = if is_taken {
            Holder::Another(replay::existing(bucket, entry.version).await?)
        } else {
            let after = super::check::apply_checked(&below, &entry)
                .map_err(|rule| Error::Internal(format!("a draft breaks a rule: {rule}")))?;
            match take_version(bucket, &entry).await? {
                Holder::Us => return Ok(Climb::Made(Arc::new(after), entry)),
                another @ Holder::Another(_) => another,
            }
        };
        let Holder::Another(theirs) = holder else {
            return Err(Error::Internal("a version that was taken is ours".into()));
        };
        ensure_objects_remain(bucket, draft, &theirs).await?;
        let next = super::check::apply_checked(&below, &theirs)
            .map_err(|rule| Error::corrupt(layout::log_entry(theirs.version), rule))?;
        below = Arc::new(next);
        if super::conflict::conflicts(draft.operation, &draft.actions, &theirs) {
            return Ok(Climb::Blocked(below));
        }
    }
}

/// Steps 2 to 6 of the [module](self) for one version.
async fn take_version(bucket: &Bucket, entry: &LogEntry) -> Result<Holder> {
    let path = layout::log_entry(entry.version);
    let bytes = entry::encode(entry)?;
    let mut pause = FIRST_PAUSE;
    let mut last_error = None;
    for _ in 0..TRIES {
        let Err(refusal) = bucket.create(&path, bytes.clone()).await else {
            return Ok(Holder::Us);
        };
        match entry::read(bucket, entry.version).await {
            Ok(Some(found)) if found.attempt != entry.attempt => {
                return Ok(Holder::Another(found));
            }
            Ok(Some(_)) if is_taken_name(&refusal) => return Ok(Holder::Us),
            Ok(None) if is_final(&refusal) => {
                return Err(crate::bucket::store_error("write", &path, refusal));
            }
            Ok(_) => last_error = Some(crate::bucket::store_error("write", &path, refusal)),
            Err(error) => last_error = Some(error),
        }
        bucket.pause(pause).await;
        pause *= 2;
    }
    let source = last_error.unwrap_or_else(|| Error::Internal("no try was made".into()));
    Err(Error::UnknownOutcome {
        version: entry.version,
        attempt: entry.attempt.clone(),
        source: Box::new(source),
    })
}

fn is_taken_name(refusal: &StoreError) -> bool {
    matches!(refusal, StoreError::AlreadyExists { .. })
}

/// Whether the store surely did nothing and will not do otherwise the next time.
fn is_final(refusal: &StoreError) -> bool {
    match refusal {
        StoreError::NotSupported { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::InvalidPath { .. }
        | StoreError::PermissionDenied { .. }
        | StoreError::Unauthenticated { .. } => true,
        // The local store answers when it is done: absent means that it did not link the name.
        StoreError::Generic { store, .. } => *store == crate::bucket::local::NAME,
        _ => false,
    }
}

/// Garbage collection announces, before it deletes, from which age on it may take an object for an
/// orphan. A draft that passes over the announcement must not bring such an object in.
async fn ensure_objects_remain(
    bucket: &Bucket,
    draft: &DraftCommit,
    theirs: &LogEntry,
) -> Result<()> {
    let announced = theirs.actions.iter().filter_map(|action| match action {
        Action::ExpireVersions { objects_before_us, .. } => Some(*objects_before_us),
        _ => None,
    });
    let Some(before_us) = announced.max() else {
        return Ok(());
    };
    for object in draft.actions.iter().flat_map(Action::objects) {
        let found = bucket.head(&object.path).await?;
        let is_young =
            found.is_some_and(|found| found.last_modified.timestamp_micros() >= before_us);
        if !is_young && !names(&draft.based_on, &object.path) {
            let based_on = draft.based_on.version;
            return Err(Error::Stalled { based_on, path: object.path.clone() });
        }
    }
    Ok(())
}

/// Whether a snapshot names an object already, as when a new identity map keeps an old base.
fn names(snapshot: &Snapshot, path: &str) -> bool {
    snapshot.objects().any(|object| object.path == path)
}

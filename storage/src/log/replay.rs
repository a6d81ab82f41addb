//! From entries to a snapshot, and where the log ends.

use super::action::LogEntry;
use super::check;
use super::entry;
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::layout;
use crate::snapshot::Snapshot;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// So many entries are asked for at once when many are expected.
const ENTRIES_AT_ONCE: u64 = 64;

/// The newest snapshot, given an older one.
///
/// Asks for the next entry, then for the next two, four… at once, until one is absent. What lies
/// behind an absent entry was written while this ran and is left to the next call.
pub(crate) async fn to_head(bucket: &Bucket, from: &Arc<Snapshot>) -> Result<Arc<Snapshot>> {
    let mut snapshot = Arc::clone(from);
    let mut at_once = 1;
    loop {
        let first = snapshot.version + 1;
        let mut entries = stream::iter(first..first + at_once)
            .map(|version| entry::read(bucket, version))
            .buffered(to_usize(at_once));
        while let Some(found) = entries.next().await {
            let Some(entry) = found? else {
                return Ok(snapshot);
            };
            advance(&mut snapshot, &entry)?;
        }
        drop(entries);
        at_once = (at_once * 2).min(ENTRIES_AT_ONCE);
    }
}

/// The snapshot of a version, given an older one.
pub(crate) async fn to_version(
    bucket: &Bucket,
    from: Arc<Snapshot>,
    version: u64,
) -> Result<Arc<Snapshot>> {
    let mut snapshot = from;
    let mut entries = std::pin::pin!(entries(bucket, snapshot.version + 1, version));
    while let Some(entry) = entries.try_next().await? {
        advance(&mut snapshot, &entry)?;
    }
    Ok(snapshot)
}

/// The entries of these versions, all of which must be there.
pub(crate) fn entries(
    bucket: &Bucket,
    first: u64,
    last: u64,
) -> impl futures::Stream<Item = Result<LogEntry>> + '_ {
    stream::iter(first..=last)
        .map(move |version| existing(bucket, version))
        .buffered(to_usize(ENTRIES_AT_ONCE))
}

/// An entry that must be there: versions have no gaps.
pub(crate) async fn existing(bucket: &Bucket, version: u64) -> Result<LogEntry> {
    let entry = entry::read(bucket, version).await?;
    entry.ok_or_else(|| Error::Missing { path: layout::log_entry(version) })
}

fn advance(snapshot: &mut Arc<Snapshot>, entry: &LogEntry) -> Result<()> {
    check::advance(Arc::make_mut(snapshot), entry)
        .map_err(|rule| Error::corrupt(layout::log_entry(entry.version), rule))
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

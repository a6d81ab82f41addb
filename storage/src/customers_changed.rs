//! Which customers differ between two versions: by new events, merges and splits.

use crate::error::{Error, Result};
use crate::identity::IdentityMap;
use crate::log::action::{Action, DataFile, LogEntry, Operation, THIS_COMMIT};
use crate::log::replay;
use crate::snapshot::Snapshot;
use crate::store::Store;
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringBitmap;

/// How many file indexes are read at once.
const INDEXES_AT_ONCE: usize = 8;

impl Store {
    /// The customers of whom anything may differ between two versions: by events that came in, late
    /// ones too, by identifiers that came in, and by merges and splits. Of those who merged or split
    /// the numbers of both versions are in it.
    ///
    /// `None` when the history does not tell: a version in between removed events, or the files
    /// that an ingest wrote are gone. The work follows what changed, apart from a comparison of the
    /// two identity maps.
    ///
    /// # Errors
    /// When the log or a file of the maps is missing or damaged.
    pub async fn customers_changed(
        &self,
        before: &Snapshot,
        now: &Snapshot,
    ) -> Result<Option<RoaringBitmap>> {
        let map = self.identity_map(now).await?;
        let mut changed = moved(self.identity_map(before).await?.as_slice(), map.as_slice());
        let mut arrived = Vec::new();
        let mut entries =
            std::pin::pin!(replay::entries(self.bucket(), before.version + 1, now.version));
        while let Some(entry) = entries.try_next().await? {
            if !adds_only(&entry) {
                return Ok(None);
            }
            arrived.extend(files_with_new_events(entry));
        }
        let indexes = stream::iter(arrived).map(|file| {
            let store = self.clone();
            async move { store.file_index(&file).await }
        });
        let mut indexes = indexes.buffer_unordered(INDEXES_AT_ONCE);
        while let Some(index) = indexes.next().await {
            match index {
                Ok(index) => add_customers(index.identifiers(), &map, &mut changed),
                // Merged since, and collected.
                Err(Error::Missing { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(changed))
    }
}

/// The customers of identifiers that are new or have another customer; of the latter both.
fn moved(before: &[u32], now: &[u32]) -> RoaringBitmap {
    let mut moved = RoaringBitmap::new();
    for (&old, &new) in before.iter().zip(now) {
        if old != new {
            moved.insert(old);
            moved.insert(new);
        }
    }
    moved.extend(now.iter().skip(before.len()).copied());
    moved
}

/// Whether no event that was there before the commit is gone after it.
fn adds_only(entry: &LogEntry) -> bool {
    let removes =
        entry.actions.iter().any(|action| matches!(action, Action::RemoveDataFile { .. }));
    !removes || entry.operation == Operation::Compact
}

fn files_with_new_events(entry: LogEntry) -> impl Iterator<Item = DataFile> {
    let version = entry.version;
    entry.actions.into_iter().filter_map(move |action| match action {
        Action::AddDataFile(file) => {
            [THIS_COMMIT, version].contains(&file.ingested_to).then_some(file)
        }
        _ => None,
    })
}

fn add_customers(identifiers: &[u32], map: &IdentityMap, changed: &mut RoaringBitmap) {
    let customers = map.as_slice();
    changed.extend(identifiers.iter().filter_map(|&one| customers.get(one as usize)));
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn both_numbers_of_those_who_merge_or_split_have_changed() {
        let merged = moved(&[0, 1, 2, 3], &[0, 0, 2, 3]);
        assert_eq!(merged.iter().collect::<Vec<_>>(), [0, 1]);
        let split = moved(&[0, 1, 1, 3], &[0, 1, 2, 3]);
        assert_eq!(split.iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn customers_of_new_identifiers_have_changed() {
        let grown = moved(&[0, 1], &[0, 1, 1, 3]);
        assert_eq!(grown.iter().collect::<Vec<_>>(), [1, 3]);
    }
}

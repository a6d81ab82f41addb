//! How two versions differ: which events came in, and who merged, split or got a new identifier.

use crate::error::Result;
use crate::identity::IdentityMap;
use crate::log::action::{Action, DataFile, LogEntry, Operation, THIS_COMMIT};
use crate::log::replay;
use crate::snapshot::Snapshot;
use crate::store::{INDEXES_AT_ONCE, Store};
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringBitmap;

/// What came between two versions. Customers are those of the later one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// Who merged or split, by the numbers of both versions.
    pub moved: RoaringBitmap,
    /// To whom an identifier belongs that came in.
    pub joined: RoaringBitmap,
    /// The files that ingests wrote, as they wrote them: their events are all that came in, also
    /// when the files were merged since.
    pub arrived: Vec<DataFile>,
}

impl Store {
    /// What came between two versions.
    ///
    /// `None` when the history does not tell: a version in between removed events. The work follows
    /// what changed, apart from a comparison of the two identity maps.
    ///
    /// # Errors
    /// When the log or a file of the maps is missing or damaged.
    pub async fn differences(
        &self,
        before: &Snapshot,
        now: &Snapshot,
    ) -> Result<Option<Differences>> {
        let map = self.identity_map(now).await?;
        let map_before = self.identity_map(before).await?;
        let mut arrived = Vec::new();
        let mut entries =
            std::pin::pin!(replay::entries(self.bucket(), before.version + 1, now.version));
        while let Some(entry) = entries.try_next().await? {
            if !adds_only(&entry) {
                return Ok(None);
            }
            arrived.extend(files_with_new_events(entry));
        }
        Ok(Some(Differences {
            moved: moved(&map_before, &map),
            joined: map.as_slice().iter().skip(map_before.len()).copied().collect(),
            arrived,
        }))
    }

    /// The customers who have an event in these files, as their indexes say.
    ///
    /// # Errors
    /// What reading an index says.
    pub async fn customers_of(
        &self,
        files: &[DataFile],
        map: &IdentityMap,
    ) -> Result<RoaringBitmap> {
        let indexes = stream::iter(files.to_vec()).map(|file| {
            let store = self.clone();
            async move { store.file_index(&file).await }
        });
        let mut indexes = indexes.buffer_unordered(INDEXES_AT_ONCE);
        let mut customers = RoaringBitmap::new();
        while let Some(index) = indexes.try_next().await? {
            let identifiers = index.identifiers().iter();
            customers.extend(identifiers.filter_map(|&one| map.as_slice().get(one as usize)));
        }
        Ok(customers)
    }
}

/// The customers of identifiers that have another customer; both.
fn moved(before: &IdentityMap, now: &IdentityMap) -> RoaringBitmap {
    let moved = now.moved_since(before).into_iter();
    moved.flat_map(|one| [before.customer_of(one), now.customer_of(one)]).collect()
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
        Action::AddDataFile(mut file) if [THIS_COMMIT, version].contains(&file.ingested_to) => {
            (file.ingested_from, file.ingested_to) = (version, version);
            Some(file)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(before: &[u32], now: &[u32]) -> RoaringBitmap {
        let map = |customers: &[u32]| IdentityMap::new(customers.to_vec()).unwrap();
        super::moved(&map(before), &map(now))
    }

    #[test]
    fn both_numbers_of_those_who_merge_or_split_are_told() {
        let merged = moved(&[0, 1, 2, 3], &[0, 0, 2, 3]);
        assert_eq!(merged.iter().collect::<Vec<_>>(), [0, 1]);
        let split = moved(&[0, 1, 1, 3], &[0, 1, 2, 3]);
        assert_eq!(split.iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_new_identifier_moves_nobody() {
        assert!(moved(&[0, 1], &[0, 1, 1, 3]).is_empty());
    }
}

//! Whether an event id is known already: what makes ingest idempotent.
//!
//! An id counts as seen if it stands in the time partition of its `ts` or in a neighbour. For the
//! rows of a piece:
//!
//! 1. Files are left out whose partition is near no row.
//! 2. The Parquet bloom filter of each row group is asked for each row that is near.
//! 3. What it knows is asked of the fingerprints of the row group's ids.
//! 4. Where both say perhaps, the ids of the row group are decoded and compared exactly.
//!
//! Rows that are not in a file yet are compared with a table of their ids, see
//! [`recent_ids`](super::recent_ids). Memory follows the size of a chunk, not of the history.

use super::id_filter::{self, IdFilter, IdFilters, hash_of};
use super::recent_ids::IdRows;
use crate::error::Result;
use crate::log::action::DataFile;
use crate::partition::Partition;
use crate::side_by_side::side_by_side;
use crate::store::Store;
use hashbrown::HashTable;
use std::ops::Range;

/// Marks the rows whose ids stand in these files, asking filters on so many threads.
pub(super) async fn mark_in_files<'a>(
    store: &Store,
    files: impl Iterator<Item = &'a DataFile>,
    rows: &IdRows,
    is_seen: &mut [bool],
    threads: usize,
) -> Result<()> {
    let Some((min, max)) = rows.times else {
        return Ok(());
    };
    let mut last: Option<Candidates> = None;
    for file in files {
        let partition = Partition { unit: file.partition_unit, start_us: file.partition_start_us };
        let near = partition.previous().start_us..partition.next().end_us();
        if max < near.start || min >= near.end {
            continue;
        }
        // The files of a partition mostly follow each other.
        let mut candidates = match last.take() {
            Some(candidates) if candidates.near == near => candidates,
            _ => Candidates::of(rows, near, threads),
        };
        mark_in_file(store, file, rows, &mut candidates, is_seen).await?;
        last = Some(candidates);
    }
    Ok(())
}

/// With fewer rows another thread is not worth its beginning.
const SHARE_ROWS_MIN: usize = 1 << 15;

/// The rows whose time is near a partition, with the hashes of their ids, in the order of these:
/// that is the order of the blocks of a bloom filter, so that a filter is read from front to end
/// and not here and there. Each thread has a share of the hashes.
struct Candidates {
    near: Range<i64>,
    shares: Vec<Vec<(u64, u32)>>,
}

impl Candidates {
    fn of(rows: &IdRows, near: Range<i64>, threads: usize) -> Self {
        let count = (rows.len() / SHARE_ROWS_MIN).clamp(1, threads.max(1));
        let mut shares = vec![Vec::with_capacity(rows.len() / count); count];
        let times = rows.batches.iter().flat_map(|(_, ts)| ts.values());
        for ((row, ts), &hash) in (0_u32..).zip(times).zip(&rows.hashes) {
            if near.contains(ts) {
                let share = (u128::from(hash) * count as u128) >> 64;
                shares[share as usize].push((hash, row));
            }
        }
        Self { near, shares }
    }

    fn is_empty(&self) -> bool {
        self.shares.iter().all(Vec::is_empty)
    }

    /// The rows that each row group may hold, in the order of the hashes of their ids.
    fn hits(&mut self, filters: &IdFilters) -> Result<Vec<Vec<u32>>> {
        let of_shares = side_by_side("asking the filters of ids", &mut self.shares, |share| {
            if !share.is_sorted() {
                share.sort_unstable();
            }
            let of_filter = |filter: &Option<IdFilter>| {
                let may_hold = |hash: u64| filter.as_ref().is_none_or(|f| f.may_hold(hash));
                let hits = share.iter().filter(|(hash, _)| may_hold(*hash));
                hits.map(|(_, row)| *row).collect::<Vec<_>>()
            };
            filters.row_groups.iter().map(of_filter).collect::<Vec<_>>()
        });
        let mut hits = vec![Vec::new(); filters.row_groups.len()];
        for of_share in of_shares? {
            hits.iter_mut().zip(of_share).for_each(|(hits, more)| hits.extend(more));
        }
        Ok(hits)
    }
}

async fn mark_in_file(
    store: &Store,
    file: &DataFile,
    rows: &IdRows,
    candidates: &mut Candidates,
    is_seen: &mut [bool],
) -> Result<()> {
    if candidates.is_empty() {
        return Ok(());
    }
    let filters = id_filter::filters_of(store, file).await?;
    for (row_group, mut hits) in candidates.hits(&filters)?.into_iter().enumerate() {
        // Of a file that is sent again, each row group finds its share, and need not be asked of the
        // others.
        hits.retain(|row| !is_seen[*row as usize]);
        if hits.is_empty() {
            continue;
        }
        let prints = id_filter::fingerprints_of(store, file, row_group).await?;
        hits.retain(|row| prints.may_hold(rows.hashes[*row as usize]));
        if !hits.is_empty() {
            mark_equal(store, file, row_group, rows, &hits, is_seen).await?;
        }
    }
    let is_open = |(_, row): &(u64, u32)| !is_seen[*row as usize];
    candidates.shares.iter_mut().for_each(|share| share.retain(is_open));
    Ok(())
}

/// Marks those of some rows whose ids stand in a row group; the rows are in the order of the hashes
/// of their ids.
async fn mark_equal(
    store: &Store,
    file: &DataFile,
    row_group: usize,
    rows: &IdRows,
    hits: &[u32],
    is_seen: &mut [bool],
) -> Result<()> {
    let hash_at = |place: usize| rows.hashes[hits[place] as usize];
    // Many rows may have one id: the table knows where those of a hash begin.
    let mut starts: HashTable<usize> = HashTable::with_capacity(hits.len());
    for place in 0..hits.len() {
        let hash = hash_at(place);
        if place == 0 || hash_at(place - 1) != hash {
            starts.insert_unique(hash, place, |&other| hash_at(other));
        }
    }
    id_filter::for_each_id(store, file, row_group, |id| {
        let hash = hash_of(id);
        let start = starts.find(hash, |&start| hash_at(start) == hash);
        let of_hash = start.into_iter().flat_map(|&start| start..hits.len());
        for place in of_hash.take_while(|&place| hash_at(place) == hash) {
            let row = hits[place] as usize;
            is_seen[row] = is_seen[row] || rows.row(row).0 == id;
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
    use parquet::bloom_filter::Sbbf;
    use std::sync::Arc;

    // If this fails, rows of files that are sent again are taken in twice, or their ids are compared
    // with those of others.
    #[test]
    fn all_threads_together_find_what_one_finds() {
        let count = 4 * SHARE_ROWS_MIN;
        let ids: StringArray = (0..count).map(|row| Some(format!("e{row}"))).collect();
        let times = TimestampMicrosecondArray::from_iter_values((0..count).map(|row| row as i64));
        let columns: [(&str, arrow::array::ArrayRef); 2] =
            [("event_id", Arc::new(ids)), ("ts", Arc::new(times.with_timezone("UTC")))];
        let rows = IdRows::of([&RecordBatch::try_from_iter(columns).unwrap()]).unwrap();
        let mut filter = Sbbf::new_with_ndv_fpp(5_000, 0.01).unwrap();
        (0..5_000).for_each(|row| filter.insert(format!("e{}", row * 20).as_str()));
        let filters = IdFilters { row_groups: vec![Some(IdFilter::of(&filter).unwrap()), None] };
        let near = 1_000..100_000;
        let found = |threads| {
            let mut candidates = Candidates::of(&rows, near.clone(), threads);
            assert_eq!(candidates.shares.len(), threads);
            candidates.hits(&filters).unwrap()
        };
        let (alone, together) = (found(1), found(3));
        assert_eq!(alone, together);
        assert!((1_000..100_000).step_by(20).all(|row| alone[0].contains(&row)));
        assert!(alone[0].len() < 10_000 && alone[1].len() == 99_000);
        let hashes = alone[1].iter().map(|&row| rows.hashes[row as usize]);
        assert!(hashes.is_sorted());
    }
}

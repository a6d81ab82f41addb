//! Whether an event id is known already: what makes ingest idempotent.
//!
//! An id counts as seen if it stands in the time partition of its `ts` or in a neighbour. For the
//! rows of a chunk:
//!
//! 1. Files are left out whose partition is near no row.
//! 2. The Parquet bloom filter of each row group is asked for each row that is near.
//! 3. What it knows is asked of the fingerprints of the row group's ids.
//! 4. Where both say perhaps, the ids of the row group are decoded and compared exactly.
//!
//! Rows that are not in a file yet are compared with a table of their ids. Memory follows the size
//! of a chunk, not of the history.

use super::id_filter::{self, IdFilter, hash_of};
use crate::data_file::encode::column;
use crate::error::Result;
use crate::event;
use crate::log::action::{DataFile, PartitionUnit};
use crate::partition::Partition;
use crate::store::Store;
use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use hashbrown::HashTable;
use std::ops::Range;

/// Ids and times of rows, by the place of their batch and their row in it.
#[derive(Clone, Debug, Default)]
pub(super) struct IdRows {
    batches: Vec<(StringArray, TimestampMicrosecondArray)>,
    /// The first row of each batch, counted over all.
    starts: Vec<usize>,
    /// Of the id of each row.
    hashes: Vec<u64>,
    /// The first and the last time.
    times: Option<(i64, i64)>,
}

impl IdRows {
    pub(super) fn of<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Self> {
        let mut rows = Self::default();
        for batch in batches {
            let ids = column(batch, event::EVENT_ID)?.as_string::<i32>().clone();
            let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>().clone();
            rows.starts.push(rows.hashes.len());
            rows.hashes.extend((0..ids.len()).map(|row| hash_of(ids.value(row))));
            for &ts in ts.values() {
                let (min, max) = rows.times.unwrap_or((ts, ts));
                rows.times = Some((min.min(ts), max.max(ts)));
            }
            rows.batches.push((ids, ts));
        }
        Ok(rows)
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.batches
            .iter()
            .flat_map(|(ids, ts)| (0..ids.len()).map(|row| (ids.value(row), ts.value(row))))
    }

    fn row(&self, row: usize) -> (&str, i64) {
        let batch = self.starts.partition_point(|&start| start <= row) - 1;
        let (ids, ts) = &self.batches[batch];
        let within = row - self.starts[batch];
        (ids.value(within), ts.value(within))
    }
}

/// A table of ids of rows that are in no file yet.
#[derive(Debug)]
pub(super) struct RecentIds {
    unit: PartitionUnit,
    rows: IdRows,
    table: HashTable<u32>,
}

impl RecentIds {
    /// Takes all rows in. Marks in `is_seen` those that repeat an earlier one of them.
    pub(super) fn new(unit: PartitionUnit, rows: IdRows, is_seen: &mut [bool]) -> Self {
        let mut table: HashTable<u32> = HashTable::with_capacity(rows.len());
        for (row, (id, ts)) in rows.iter().enumerate() {
            if is_seen[row] {
                continue;
            }
            let same = |&other: &u32| is_same(unit, rows.row(other as usize), (id, ts));
            let hash = rows.hashes[row];
            if table.find(hash, same).is_some() {
                is_seen[row] = true;
                continue;
            }
            table.insert_unique(hash, row as u32, |&other| rows.hashes[other as usize]);
        }
        Self { unit, rows, table }
    }

    /// Marks the rows whose ids stand in this table.
    pub(super) fn mark(&self, rows: &IdRows, is_seen: &mut [bool]) {
        for ((is_seen, row), hash) in is_seen.iter_mut().zip(rows.iter()).zip(&rows.hashes) {
            let same = |&other: &u32| is_same(self.unit, self.rows.row(other as usize), row);
            *is_seen = *is_seen || self.table.find(*hash, same).is_some();
        }
    }
}

fn is_same(unit: PartitionUnit, one: (&str, i64), other: (&str, i64)) -> bool {
    one.0 == other.0 && Partition::containing(unit, one.1).is_near(other.1)
}

/// Marks the rows whose ids stand in these files.
pub(super) async fn mark_in_files<'a>(
    store: &Store,
    files: impl Iterator<Item = &'a DataFile>,
    rows: &IdRows,
    is_seen: &mut [bool],
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
            _ => Candidates::of(rows, near),
        };
        mark_in_file(store, file, rows, &mut candidates, is_seen).await?;
        last = Some(candidates);
    }
    Ok(())
}

/// The rows whose time is near a partition, with the hashes of their ids, in the order of these:
/// that is the order of the blocks of a bloom filter, so that a filter is read from front to end
/// and not here and there.
struct Candidates {
    near: Range<i64>,
    rows: Vec<(u64, u32)>,
}

impl Candidates {
    fn of(rows: &IdRows, near: Range<i64>) -> Self {
        let times = rows.batches.iter().flat_map(|(_, ts)| ts.values());
        let is_near = |(_, ts): &(u32, &i64)| near.contains(*ts);
        let near_rows = (0_u32..).zip(times).filter(is_near).map(|(row, _)| row);
        let mut rows: Vec<(u64, u32)> =
            near_rows.map(|row| (rows.hashes[row as usize], row)).collect();
        rows.sort_unstable();
        Self { near, rows }
    }
}

async fn mark_in_file(
    store: &Store,
    file: &DataFile,
    rows: &IdRows,
    candidates: &mut Candidates,
    is_seen: &mut [bool],
) -> Result<()> {
    if candidates.rows.is_empty() {
        return Ok(());
    }
    let filters = id_filter::filters_of(store, file).await?;
    for (row_group, filter) in filters.row_groups.iter().enumerate() {
        let may_hold =
            |hash: u64| filter.as_ref().is_none_or(|filter: &IdFilter| filter.may_hold(hash));
        let hits = candidates.rows.iter().filter(|(hash, _)| may_hold(*hash));
        let mut hits: Vec<u32> = hits.map(|(_, row)| *row).collect();
        hits.retain(|row| !is_seen[*row as usize]);
        if hits.is_empty() {
            continue;
        }
        let prints = id_filter::fingerprints_of(store, file, row_group).await?;
        hits.retain(|row| prints.may_hold(rows.hashes[*row as usize]));
        if !hits.is_empty() {
            mark_equal(store, file, row_group, rows, &hits, is_seen).await?;
            // Of a file that is sent again, each row group finds its share, and need not be asked
            // of the others.
            candidates.rows.retain(|(_, row)| !is_seen[*row as usize]);
        }
    }
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

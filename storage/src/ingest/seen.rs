//! Whether an event id is known already: what makes ingest idempotent.
//!
//! An id counts as seen if it stands in the time partition of its `ts` or in a neighbour. For the
//! rows of a chunk:
//!
//! 1. Files are left out whose partition is near no row.
//! 2. The Parquet bloom filter of each row group is asked for each row that is near.
//! 3. Where it says yes, the event ids of that row group are decoded and compared exactly.
//!
//! Rows that are not in a file yet are compared with a table of their ids. Memory follows the size
//! of a chunk, not of the history.

use crate::data_file::encode::column;
use crate::data_file::read::{self, BucketReader};
use crate::error::{Error, Result};
use crate::event;
use crate::log::action::{DataFile, PartitionUnit};
use crate::partition::Partition;
use crate::store::Store;
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use foldhash::fast::FixedState;
use futures::TryStreamExt;
use hashbrown::HashTable;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::bloom_filter::Sbbf;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Ids and times of rows, by the place of their batch and their row in it.
#[derive(Clone, Debug, Default)]
pub(super) struct IdRows {
    batches: Vec<(StringArray, arrow::array::TimestampMicrosecondArray)>,
    /// The first row of each batch, counted over all.
    starts: Vec<usize>,
    rows: usize,
}

impl IdRows {
    pub(super) fn of<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Self> {
        let mut rows = Self::default();
        for batch in batches {
            let ids = column(batch, event::EVENT_ID)?.as_string::<i32>().clone();
            let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>().clone();
            rows.starts.push(rows.rows);
            rows.rows += ids.len();
            rows.batches.push((ids, ts));
        }
        Ok(rows)
    }

    pub(super) fn len(&self) -> usize {
        self.rows
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

const HASHER: FixedState = FixedState::with_seed(0x6861_6269_7475_e900);

impl RecentIds {
    /// Takes all rows in. Marks in `is_seen` those that repeat an earlier one of them.
    pub(super) fn new(unit: PartitionUnit, rows: IdRows, is_seen: &mut [bool]) -> Self {
        let mut table: HashTable<u32> = HashTable::with_capacity(rows.len());
        for (row, (id, ts)) in rows.iter().enumerate() {
            if is_seen[row] {
                continue;
            }
            let hash = HASHER.hash_one(id);
            if table
                .find(hash, |&other| is_same(unit, rows.row(other as usize), (id, ts)))
                .is_some()
            {
                is_seen[row] = true;
                continue;
            }
            table.insert_unique(hash, row as u32, |&other| {
                HASHER.hash_one(rows.row(other as usize).0)
            });
        }
        Self { unit, rows, table }
    }

    /// Marks the rows whose ids stand in this table.
    pub(super) fn mark(&self, rows: &IdRows, is_seen: &mut [bool]) {
        for (is_seen, (id, ts)) in is_seen.iter_mut().zip(rows.iter()) {
            let same = |&other: &u32| is_same(self.unit, self.rows.row(other as usize), (id, ts));
            *is_seen = *is_seen || self.table.find(HASHER.hash_one(id), same).is_some();
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
    let Some((min, max)) = extremes(rows) else {
        return Ok(());
    };
    for file in files {
        let partition = Partition { unit: file.partition_unit, start_us: file.partition_start_us };
        let near = partition.previous().start_us..partition.next().end_us();
        if max < near.start || min >= near.end {
            continue;
        }
        let candidates: Vec<(u32, &str)> = rows
            .iter()
            .zip(is_seen.iter())
            .enumerate()
            .filter(|(_, ((_, ts), is_seen))| !**is_seen && near.contains(ts))
            .map(|(row, ((id, _), _))| (row as u32, id))
            .collect();
        if !candidates.is_empty() {
            mark_in_file(store, file, &candidates, is_seen).await?;
        }
    }
    Ok(())
}

fn extremes(rows: &IdRows) -> Option<(i64, i64)> {
    let times = || rows.iter().map(|(_, ts)| ts);
    times().min().zip(times().max())
}

async fn mark_in_file(
    store: &Store,
    file: &DataFile,
    candidates: &[(u32, &str)],
    is_seen: &mut [bool],
) -> Result<()> {
    let filters = filters_of(store, file).await?;
    let mut hits: HashMap<&str, Vec<u32>, FixedState> = HashMap::with_hasher(HASHER);
    let mut row_groups = Vec::new();
    for (row_group, filter) in filters.row_groups.iter().enumerate() {
        let mut is_hit = false;
        for &(row, id) in candidates {
            if filter.as_ref().is_none_or(|filter| filter.check(id)) {
                is_hit = true;
                let same = hits.entry(id).or_default();
                if same.last() != Some(&row) {
                    same.push(row);
                }
            }
        }
        if is_hit {
            row_groups.push(row_group);
        }
    }
    if row_groups.is_empty() {
        return Ok(());
    }
    let path = &file.object.path;
    let builder = read::open(store.bucket(), &file.object).await?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [event::EVENT_ID]);
    let mut stream = builder
        .with_projection(mask)
        .with_row_groups(row_groups)
        .with_batch_size(64 * 1024)
        .build()
        .map_err(|error| read::read_error(path, error))?;
    while let Some(batch) = stream.try_next().await.map_err(|e| read::read_error(path, e))? {
        let ids = batch.column(0).as_string_opt::<i32>();
        let ids = ids.ok_or_else(|| Error::corrupt(path, "event_id is not text"))?;
        for id in ids.iter().flatten() {
            for &row in hits.get(id).into_iter().flatten() {
                is_seen[row as usize] = true;
            }
        }
    }
    Ok(())
}

/// The bloom filters of a file, one per row group; a row group without one is always looked into.
struct EventIdFilters {
    row_groups: Vec<Option<Sbbf>>,
}

async fn filters_of(store: &Store, file: &DataFile) -> Result<Arc<EventIdFilters>> {
    let name = format!("{} filters", file.object.path);
    store
        .cached(&name, async {
            let mut builder = read::open(store.bucket(), &file.object).await?;
            let filters = load_filters(&mut builder)
                .await
                .map_err(|error| read::read_error(&file.object.path, error))?;
            let blocks: usize = filters.row_groups.iter().flatten().map(Sbbf::num_blocks).sum();
            Ok((filters, blocks * 32))
        })
        .await
}

async fn load_filters(
    builder: &mut ParquetRecordBatchStreamBuilder<BucketReader>,
) -> parquet::errors::Result<EventIdFilters> {
    let columns = builder.parquet_schema().columns();
    let place = columns.iter().position(|column| column.name() == event::EVENT_ID).unwrap_or(0);
    let mut row_groups = Vec::new();
    for row_group in 0..builder.metadata().num_row_groups() {
        row_groups.push(builder.get_row_group_column_bloom_filter(row_group, place).await?);
    }
    Ok(EventIdFilters { row_groups })
}

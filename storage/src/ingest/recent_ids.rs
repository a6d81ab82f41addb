//! The ids of rows that are in no file yet: those of the chunk that is being written, and of the one
//! that grows.

use super::id_filter::hash_of;
use crate::data_file::encode::column;
use crate::error::Result;
use crate::event;
use crate::log::action::PartitionUnit;
use crate::partition::Partition;
use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Ids and times of rows, by the place of their batch and their row in it.
#[derive(Clone, Debug, Default)]
pub(super) struct IdRows {
    pub(super) batches: Vec<(StringArray, TimestampMicrosecondArray)>,
    /// The first row of each batch, counted over all.
    starts: Vec<usize>,
    /// Of the id of each row.
    pub(super) hashes: Vec<u64>,
    /// The first and the last time.
    pub(super) times: Option<(i64, i64)>,
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

    fn append(&mut self, more: Self) {
        let rows = self.hashes.len();
        self.starts.extend(more.starts.iter().map(|start| rows + start));
        self.batches.extend(more.batches);
        self.hashes.extend(more.hashes);
        self.times = match (self.times, more.times) {
            (Some((min, max)), Some((more_min, more_max))) => {
                Some((min.min(more_min), max.max(more_max)))
            }
            (times, more) => times.or(more),
        };
    }

    pub(super) fn row(&self, row: usize) -> (&str, i64) {
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
    /// It is unlikely to take more.
    rows_max: usize,
    rows: IdRows,
    table: HashTable<u32>,
}

impl RecentIds {
    /// An empty table that may take so many rows.
    pub(super) fn new(unit: PartitionUnit, rows_max: usize) -> Self {
        Self { unit, rows_max, rows: IdRows::default(), table: HashTable::new() }
    }

    /// Takes rows in but those that are seen already. Marks in `is_seen` those that repeat one that
    /// is here, or an earlier one of them.
    pub(super) fn take(&mut self, rows: IdRows, is_seen: &mut [bool]) {
        let first = self.rows.len();
        self.rows.append(rows);
        let (unit, rows) = (self.unit, &self.rows);
        let hash_of = |&other: &u32| rows.hashes[other as usize];
        // Who takes a second piece takes more; to grow is to hash all again.
        let room = if first > 0 { self.rows_max.saturating_sub(first) } else { 0 };
        self.table.reserve(room.max(is_seen.len()), hash_of);
        for (row, is_seen) in (first..).zip(is_seen.iter_mut()) {
            if *is_seen {
                continue;
            }
            let hash = rows.hashes[row];
            let same = |other: &u32| {
                hash_of(other) == hash && is_same(unit, rows.row(*other as usize), rows.row(row))
            };
            match self.table.entry(hash, same, hash_of) {
                Entry::Occupied(_) => *is_seen = true,
                Entry::Vacant(free) => {
                    free.insert(row as u32);
                }
            }
        }
    }

    /// Marks the rows whose ids stand in this table.
    pub(super) fn mark(&self, rows: &IdRows, is_seen: &mut [bool]) {
        for ((is_seen, row), hash) in is_seen.iter_mut().zip(rows.iter()).zip(&rows.hashes) {
            let same = |&other: &u32| {
                let other = other as usize;
                self.rows.hashes[other] == *hash && is_same(self.unit, self.rows.row(other), row)
            };
            *is_seen = *is_seen || self.table.find(*hash, same).is_some();
        }
    }
}

fn is_same(unit: PartitionUnit, one: (&str, i64), other: (&str, i64)) -> bool {
    one.0 == other.0 && Partition::containing(unit, one.1).is_near(other.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::DAY_US;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Pieces of batches of (id, day).
    type Pieces = Vec<Vec<Vec<(u8, i64)>>>;

    fn rows_of(piece: &[Vec<(u8, i64)>]) -> IdRows {
        let batches = piece.iter().map(|rows| {
            let ids: StringArray = rows.iter().map(|(id, _)| Some(format!("e{id}"))).collect();
            let days = rows.iter().map(|(_, day)| day * DAY_US);
            let times = TimestampMicrosecondArray::from_iter_values(days).with_timezone("UTC");
            let columns: [(&str, arrow::array::ArrayRef); 2] =
                [("event_id", Arc::new(ids)), ("ts", Arc::new(times))];
            RecordBatch::try_from_iter(columns).unwrap()
        });
        IdRows::of(&batches.collect::<Vec<_>>()).unwrap()
    }

    fn known(plain: &[(u8, i64)], (id, day): (u8, i64)) -> bool {
        plain.iter().any(|one| one.0 == id && (one.1 - day).abs() <= 1)
    }

    proptest! {
        // If this fails, an event is taken in twice, or another one is lost.
        #[test]
        fn repeated_are_those_of_a_plain_list(
            pieces in prop::collection::vec(
                prop::collection::vec(prop::collection::vec((0_u8..12, 0_i64..5), 0..8), 0..4),
                0..6,
            ),
            rows_max in 0_usize..40,
        ) {
            let pieces: Pieces = pieces;
            let mut recent = RecentIds::new(PartitionUnit::Day, rows_max);
            let mut plain: Vec<(u8, i64)> = Vec::new();
            for piece in pieces {
                let rows: Vec<(u8, i64)> = piece.iter().flatten().copied().collect();
                let marked: Vec<bool> = rows.iter().map(|row| known(&plain, *row)).collect();
                let mut expected = Vec::new();
                for row in rows {
                    expected.push(known(&plain, row));
                    if !known(&plain, row) {
                        plain.push(row);
                    }
                }
                let mut is_seen = vec![false; expected.len()];
                recent.mark(&rows_of(&piece), &mut is_seen);
                prop_assert_eq!(&is_seen, &marked);
                let mut is_seen = vec![false; expected.len()];
                recent.take(rows_of(&piece), &mut is_seen);
                prop_assert_eq!(is_seen, expected);
            }
        }
    }
}

//! Merges sorted runs into one sequence of rows, holding one batch of each run.

use super::keys::RowKey;
use super::memory::Memory;
use super::runs::{Run, SortedRows, ipc_error};
use crate::error::Result;
use crate::identity::IdentityMap;
use crate::log::action::PartitionUnit;
use arrow::array::{Array, RecordBatch, new_null_array};
use arrow::compute::interleave;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Rows from several runs in order; rows of equal keys in the order of their runs.
pub(super) struct Merge {
    map: Arc<IdentityMap>,
    unit: PartitionUnit,
    memory: Memory,
    batch_rows: usize,
    runs: Vec<Cursor>,
    /// The next row of each run that has one.
    heap: BinaryHeap<Reverse<(RowKey, usize)>>,
    /// What rows are still taken from.
    batches: Vec<SortedRows>,
}

/// Where a run is.
struct Cursor {
    run: Run,
    /// The place of its rows in `batches`.
    batch: usize,
    /// The place in their order; `None` at the end of the run.
    at: Option<usize>,
}

/// Rows in order, with their keys.
pub(super) struct MergedBatch {
    pub(super) rows: RecordBatch,
    pub(super) keys: Vec<RowKey>,
}

impl Merge {
    /// Begins to merge these runs.
    pub(super) async fn new(
        runs: Vec<Run>,
        map: Arc<IdentityMap>,
        unit: PartitionUnit,
        memory: Memory,
        batch_rows: usize,
    ) -> Result<Self> {
        let cursors = runs.into_iter().map(|run| Cursor { run, batch: 0, at: None }).collect();
        let mut merge = Self {
            map,
            unit,
            memory,
            batch_rows,
            runs: cursors,
            heap: BinaryHeap::new(),
            batches: Vec::new(),
        };
        for run in 0..merge.runs.len() {
            merge.refill(run).await?;
        }
        Ok(merge)
    }

    /// The next rows, `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<MergedBatch>> {
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(self.batch_rows);
        let mut keys = Vec::with_capacity(self.batch_rows);
        while places.len() < self.batch_rows {
            let Some(Reverse((key, run))) = self.heap.pop() else {
                break;
            };
            let cursor = &mut self.runs[run];
            let rows = &self.batches[cursor.batch];
            let mut at = cursor.at.unwrap_or(rows.keys.len());
            // As long as this run stays in front, its rows are taken without asking the heap.
            let rival = self.heap.peek().map(|Reverse(rival)| *rival);
            let mut next = Some(key);
            while let Some(key) = next {
                let is_behind = rival.is_some_and(|rival| rival < (key, run));
                if is_behind || places.len() == self.batch_rows {
                    self.heap.push(Reverse((key, run)));
                    break;
                }
                places.push((cursor.batch, rows.row(at)));
                keys.push(key);
                at += 1;
                next = rows.keys.get(at).copied();
            }
            cursor.at = Some(at);
            if next.is_none() {
                self.refill(run).await?;
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        let rows = self.picked(&places)?;
        self.drop_used_up();
        Ok(Some(MergedBatch { rows, keys }))
    }

    /// The rows at these places. Many columns are NULL throughout, and need not be picked.
    fn picked(&self, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let schema = self.batches[0].batch.schema();
        let columns = schema.fields().iter().enumerate().map(|(column, field)| {
            let arrays = self.batches.iter().map(|rows| rows.batch.column(column).as_ref());
            let arrays: Vec<&dyn Array> = arrays.collect();
            match arrays.iter().all(|array| array.null_count() == array.len()) {
                true => Ok(new_null_array(field.data_type(), places.len())),
                false => interleave(&arrays, places),
            }
        });
        let columns = columns.collect::<std::result::Result<_, _>>().map_err(ipc_error)?;
        RecordBatch::try_new(schema, columns).map_err(ipc_error)
    }

    /// Loads the next rows of a run and puts the first of them on the heap.
    async fn refill(&mut self, run: usize) -> Result<()> {
        let cursor = &mut self.runs[run];
        cursor.at = None;
        let rows = cursor.run.next_sorted(&self.map, self.unit, &self.memory).await?;
        let Some(rows) = rows else {
            return Ok(());
        };
        let Some(&first) = rows.keys.first() else {
            return Ok(());
        };
        cursor.batch = self.batches.len();
        cursor.at = Some(0);
        self.heap.push(Reverse((first, run)));
        self.batches.push(rows);
        Ok(())
    }

    /// Lets go of batches that no run stands in any more.
    fn drop_used_up(&mut self) {
        let mut is_used = vec![false; self.batches.len()];
        for cursor in self.runs.iter().filter(|cursor| cursor.at.is_some()) {
            is_used[cursor.batch] = true;
        }
        let mut kept = Vec::with_capacity(self.runs.len());
        let mut new_places = vec![0; self.batches.len()];
        for (place, batch) in self.batches.drain(..).enumerate() {
            if is_used[place] {
                new_places[place] = kept.len();
                kept.push(batch);
            }
        }
        self.batches = kept;
        for cursor in self.runs.iter_mut().filter(|cursor| cursor.at.is_some()) {
            cursor.batch = new_places[cursor.batch];
        }
    }
}

//! Merges sorted runs into one sequence of rows, holding one batch of each run.

use super::keys::{RowKey, keys_of};
use super::memory::{Held, Memory};
use super::runs::{Run, ipc_error, memory_of};
use crate::error::Result;
use crate::identity::IdentityMap;
use crate::log::action::PartitionUnit;
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
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
    /// Batches that rows are still taken from.
    batches: Vec<(RecordBatch, Held)>,
}

/// Where a run is.
struct Cursor {
    run: Run,
    /// The place of its batch in `batches`.
    batch: usize,
    keys: Vec<RowKey>,
    row: usize,
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
        let cursors = runs
            .into_iter()
            .map(|run| Cursor { run, batch: 0, keys: Vec::new(), row: 0 })
            .collect();
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
            // As long as this run stays in front, its rows are taken without asking the heap.
            let rival = self.heap.peek().map(|Reverse(rival)| *rival);
            let mut next = Some(key);
            while let Some(key) = next {
                let is_behind = rival.is_some_and(|rival| rival < (key, run));
                if is_behind || places.len() == self.batch_rows {
                    self.heap.push(Reverse((key, run)));
                    break;
                }
                places.push((cursor.batch, cursor.row));
                keys.push(key);
                cursor.row += 1;
                next = cursor.keys.get(cursor.row).copied();
            }
            if next.is_none() {
                self.refill(run).await?;
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().map(|(batch, _)| batch).collect();
        let rows = interleave_record_batch(&batches, &places).map_err(ipc_error)?;
        self.drop_used_up();
        Ok(Some(MergedBatch { rows, keys }))
    }

    /// Loads the next batch of a run and puts its first row on the heap.
    async fn refill(&mut self, run: usize) -> Result<()> {
        let cursor = &mut self.runs[run];
        cursor.keys.clear();
        cursor.row = 0;
        let Some(batch) = cursor.run.next().await? else {
            return Ok(());
        };
        cursor.keys = keys_of(&batch, &self.map, self.unit)?;
        cursor.batch = self.batches.len();
        if let Some(&first) = cursor.keys.first() {
            self.heap.push(Reverse((first, run)));
        }
        let held = self.memory.hold(memory_of(&batch));
        self.batches.push((batch, held));
        Ok(())
    }

    /// Lets go of batches that no run stands in any more.
    fn drop_used_up(&mut self) {
        let mut is_used = vec![false; self.batches.len()];
        for cursor in self.runs.iter().filter(|cursor| !cursor.keys.is_empty()) {
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
        for cursor in self.runs.iter_mut().filter(|cursor| !cursor.keys.is_empty()) {
            cursor.batch = new_places[cursor.batch];
        }
    }
}

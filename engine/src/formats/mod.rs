//! From the bytes of a file to record batches of events: one reader per format.
//!
//! A reader turns its input into a stream of [`Block`]s, in the order of the input and in bounded
//! memory: rows in the incoming shape of the store (any subset of the event columns, as text where
//! the format has no types), and the lines that could not be read, each with its reason.

mod blocks;
mod columnar;
mod csv;
mod event_row;
mod format;
mod json_table;
mod json_value;
mod line_parser;
mod lines;
mod ndjson;
mod open;
mod pump;
mod segment_spec;
mod source;

pub use format::Format;
pub use source::Input;

pub(crate) use open::{Opened, Opening, Shape, open};

use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
/// A line or record that could not be read; rows count from 1: the line, or the record where a
/// format has no lines.
use habitue_storage::ingest::RejectedRow as Reject;

/// No line or record may be longer than this: a hostile file must not fill the memory.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;

/// This much of a record that is too long is kept with its reason.
const OVERLONG_KEPT_BYTES: usize = 64 << 10;

/// Some rows of the input, in its order, and what could not be read among them.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The rows that could be read.
    pub batch: Option<RecordBatch>,
    /// Where the numbering of the rows begins, and begins again after a gap.
    pub runs: Vec<Run>,
    /// The lines that could not be read.
    pub rejects: Vec<Reject>,
}

/// Rows of a batch with consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first of them in the batch.
    pub start: usize,
    /// Its number in the input.
    pub first_row: u64,
}

/// What a reader gives.
pub(crate) type Blocks = BoxStream<'static, crate::Result<Block>>;

impl Block {
    /// A block without gaps.
    fn whole(batch: RecordBatch, first_row: u64) -> Self {
        Self { batch: Some(batch), runs: vec![Run { start: 0, first_row }], rejects: Vec::new() }
    }

    /// The rows as batches without gaps, each with the number of its first row.
    pub fn slices(&self) -> impl Iterator<Item = (RecordBatch, u64)> {
        let ends = self.runs.iter().skip(1).map(|run| run.start);
        self.batch.iter().flat_map(move |batch| {
            let ends = ends.clone().chain([batch.num_rows()]);
            self.runs
                .iter()
                .zip(ends)
                .map(|(run, end)| (batch.slice(run.start, end - run.start), run.first_row))
        })
    }
}

/// Numbers of rows as they are met, kept as [`Run`]s.
#[derive(Debug, Default)]
struct RunBuilder {
    runs: Vec<Run>,
    rows: usize,
}

impl RunBuilder {
    /// The next row of the batch has this number in the input.
    fn push(&mut self, row: u64) {
        let continues = self
            .runs
            .last()
            .is_some_and(|run| run.first_row + (self.rows - run.start) as u64 == row);
        if !continues {
            self.runs.push(Run { start: self.rows, first_row: row });
        }
        self.rows += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_numbers_begins_a_new_run() {
        let mut builder = RunBuilder::default();
        [1, 2, 5, 6, 9].into_iter().for_each(|row| builder.push(row));
        let runs: Vec<_> = builder.runs.iter().map(|run| (run.start, run.first_row)).collect();
        assert_eq!(runs, [(0, 1), (2, 5), (4, 9)]);
    }
}

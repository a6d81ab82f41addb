//! What came in and is not in a chunk yet: batches that are brought to events, several at a time,
//! and rows that were rejected between them, all in their order.

use super::RejectedRow;
use super::conform::{Conformed, Conformer};
use crate::background::Background;
use crate::error::Result;
use arrow::array::RecordBatch;
use std::collections::VecDeque;
use std::sync::Arc;

/// So many rejected rows may wait for the batches before them.
const REJECTED_WAITING_MAX: usize = 1_000;

/// Batches and rejected rows on their way.
#[derive(Debug)]
pub(super) struct Arrivals {
    conformer: Arc<Conformer>,
    waiting: VecDeque<Arrival>,
    batches: usize,
    batches_max: usize,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
enum Arrival {
    Batch { conformed: Background<Conformed>, bytes: usize },
    Rejected(RejectedRow),
}

/// The next of what came in.
pub(super) enum Arrived {
    Batch(Conformed),
    Rejected(RejectedRow),
}

impl Arrivals {
    /// At most so many batches are worked on at a time, and together they have at most so many
    /// bytes, if they are more than one.
    pub(super) fn new(conformer: Conformer, batches_max: usize, bytes_max: usize) -> Self {
        let conformer = Arc::new(conformer);
        Self {
            conformer,
            waiting: VecDeque::new(),
            batches: 0,
            batches_max: batches_max.max(1),
            bytes: 0,
            bytes_max,
        }
    }

    /// Whether one must be taken before another batch of so many bytes comes.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.batches > 0
            && (self.batches >= self.batches_max || self.bytes + bytes > self.bytes_max)
    }

    /// A batch comes in, whose first row has this number in the source.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when its columns as such are wrong.
    pub(super) fn batch(
        &mut self,
        batch: &RecordBatch,
        bytes: usize,
        first_row: u64,
    ) -> Result<()> {
        Conformer::check(batch.schema_ref())?;
        let (conformer, batch) = (Arc::clone(&self.conformer), batch.clone());
        let work = move || conformer.conform(&batch, first_row);
        let conformed = Background::compute("bringing rows to events", work);
        self.waiting.push_back(Arrival::Batch { conformed, bytes });
        self.batches += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// A row comes in that nobody could read.
    pub(super) fn rejected(&mut self, row: RejectedRow) {
        self.waiting.push_back(Arrival::Rejected(row));
    }

    /// Whether one should be taken before another rejected row comes: it can be had without
    /// waiting, or there are many.
    pub(super) fn is_full_of_rejected(&self) -> bool {
        let is_crowded = self.waiting.len() >= self.batches + REJECTED_WAITING_MAX;
        is_crowded || matches!(self.waiting.front(), Some(Arrival::Rejected(_)))
    }

    /// The next one in order; `None` when all are taken.
    pub(super) async fn next(&mut self) -> Result<Option<Arrived>> {
        match self.waiting.pop_front() {
            None => Ok(None),
            Some(Arrival::Rejected(row)) => Ok(Some(Arrived::Rejected(row))),
            Some(Arrival::Batch { conformed, bytes }) => {
                self.batches -= 1;
                self.bytes -= bytes;
                Ok(Some(Arrived::Batch(conformed.answer().await?)))
            }
        }
    }
}

//! Sorted rows become data files: one after the other, cut between customers and partitions.

use super::keys::RowKey;
use super::memory::{Held, Memory};
use super::merge::MergedBatch;
use crate::bucket::{Bucket, ObjectWriter};
use crate::data_file::Members;
use crate::data_file::encode::{DataFileEncoder, DataFileOrigin, column};
use crate::error::Result;
use crate::event;
use crate::identity::IdentityMap;
use crate::log::action::{DataFile, PartitionUnit, SortedBy};
use crate::partition::Partition;
use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// However little memory there is, smaller row groups would cost more than they save.
const ROW_GROUP_ROWS_MIN: usize = 1024;

/// Where the rows of a job go.
pub(super) struct Output {
    pub(super) bucket: Bucket,
    pub(super) map: Arc<IdentityMap>,
    pub(super) identity_version: u64,
    pub(super) unit: PartitionUnit,
    pub(super) ingested: (u64, u64),
    pub(super) file_rows_target: u64,
    /// No file will have more rows.
    pub(super) rows_max: usize,
    /// An encoder that takes more closes its row group early.
    pub(super) encoder_bytes_max: usize,
    pub(super) memory: Memory,
    pub(super) files: Vec<DataFile>,
    pub(super) open: Option<OpenFile>,
}

/// The file that is being written.
pub(super) struct OpenFile {
    encoder: DataFileEncoder,
    front: ObjectWriter,
    last: RowKey,
    held: Held,
}

impl Output {
    /// Adds rows that come after all before.
    pub(super) async fn write(&mut self, batch: &MergedBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.keys.len() {
            let first = batch.keys[start];
            if self.open.as_ref().is_some_and(|open| self.ends_before(open, first)) {
                self.close().await?;
            }
            let rows = start..self.end_of_rows(&batch.keys, start);
            start = rows.end;
            self.write_rows(&batch.rows, &batch.keys, rows).await?;
        }
        Ok(())
    }

    /// Ends the last file and gives all of them.
    pub(super) async fn finish(mut self) -> Result<Vec<DataFile>> {
        self.close().await?;
        Ok(self.files)
    }

    /// A file ends with its partition, and when it is full with a customer.
    fn ends_before(&self, open: &OpenFile, next: RowKey) -> bool {
        let is_full = open.encoder.rows() >= self.file_rows_target;
        next.partition_start_us != open.last.partition_start_us
            || (is_full && next.customer != open.last.customer)
    }

    /// Up to where rows go into one file without a look: the partition ends, or the file may be
    /// full where a customer ends.
    fn end_of_rows(&self, keys: &[RowKey], start: usize) -> usize {
        let mut rows = self.open.as_ref().map_or(0, |open| open.encoder.rows());
        for row in start + 1..keys.len() {
            rows += 1;
            let (before, next) = (keys[row - 1], keys[row]);
            let is_full = rows >= self.file_rows_target;
            if next.partition_start_us != before.partition_start_us
                || (is_full && next.customer != before.customer)
            {
                return row;
            }
        }
        keys.len()
    }

    async fn write_rows(
        &mut self,
        batch: &RecordBatch,
        keys: &[RowKey],
        rows: Range<usize>,
    ) -> Result<()> {
        let last = keys[rows.end - 1];
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(batch, last).await?,
        };
        let slice = batch.slice(rows.start, rows.len());
        open.encoder.write(&slice, |identifier| self.map.customer_of(identifier))?;
        open.last = last;
        let is_large = open.encoder.memory_bytes() > self.encoder_bytes_max;
        if is_large && open.encoder.rows_in_memory() >= ROW_GROUP_ROWS_MIN {
            open.encoder.flush()?;
        }
        open.held.resize(open.encoder.memory_bytes());
        open.front.append(Bytes::from(open.encoder.take_bytes())).await?;
        self.open = Some(open);
        Ok(())
    }

    // By unique reference, because an encoder cannot be shared between threads.
    async fn begin(&mut self, batch: &RecordBatch, last: RowKey) -> Result<OpenFile> {
        let origin = DataFileOrigin {
            partition: Partition { unit: self.unit, start_us: last.partition_start_us },
            sorted_by: SortedBy::Customer { identity_version: self.identity_version },
            ingested: self.ingested,
        };
        let name = self.bucket.new_uuid();
        let texts = column(batch, event::PROPERTIES)?;
        let members = Members::for_texts(texts.as_string());
        let encoder = DataFileEncoder::new(batch, origin, name, self.rows_max, members)?;
        let front = self.bucket.writer(encoder.path()).await?;
        Ok(OpenFile { encoder, front, last, held: self.memory.hold(0) })
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            let end = open.encoder.finish()?;
            self.files.push(end.put_after(&self.bucket, open.front).await?);
        }
        Ok(())
    }
}

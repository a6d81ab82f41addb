//! A chunk of events becomes one sorted data file per time partition that it touches.

use crate::bucket::Bucket;
use crate::data_file::encode::{DataFileEncoder, DataFileOrigin, EncodedEnd, column};
use crate::error::{Error, Result};
use crate::event;
use crate::log::action::{DataFile, PartitionUnit, SortedBy};
use crate::partition::{DAY_US, Partition};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Rows that are put together and given to the encoder at once.
const SORTED_BATCH_ROWS: usize = 16 * 1024;

/// A chunk of events with their identifiers, and the names of the files that it will become.
pub(super) struct ChunkToWrite {
    /// Not empty; all of one schema, that of a data file.
    batches: Vec<RecordBatch>,
    unit: PartitionUnit,
    /// The name of the file of each partition. Made beforehand, so that the names of a later
    /// chunk sort after those of an earlier one, even if it is written first.
    names: BTreeMap<Partition, Uuid>,
}

/// Where a row goes: the place of its partition, its identifier (NULL last), its time, and where
/// it stands now, which is its arrival.
type RowKey = (u32, u64, i64, u32, u32);

impl ChunkToWrite {
    pub(super) fn new(
        bucket: &Bucket,
        batches: Vec<RecordBatch>,
        unit: PartitionUnit,
    ) -> Result<Self> {
        let mut starts = BTreeSet::new();
        for batch in &batches {
            let mut last: Option<Partition> = None;
            let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
            for &ts in ts.values() {
                if last.is_none_or(|last| !last.contains(ts)) {
                    let partition = Partition::containing(unit, ts);
                    starts.insert(partition);
                    last = Some(partition);
                }
            }
        }
        let names = starts.into_iter().map(|start| (start, bucket.new_uuid())).collect();
        Ok(Self { batches, unit, names })
    }

    /// Sorts, encodes and writes the files; the computing happens beside the asynchronous work.
    pub(super) async fn write(self, bucket: Bucket) -> Result<Vec<DataFile>> {
        let encoded = tokio::task::spawn_blocking(move || self.encode()).await;
        let encoded = encoded
            .map_err(|error| Error::Internal(format!("writing a chunk stopped: {error}")))??;
        let mut files = Vec::with_capacity(encoded.len());
        for file in encoded {
            files.push(file.put(&bucket).await?);
        }
        Ok(files)
    }

    fn encode(self) -> Result<Vec<EncodedEnd>> {
        let partitions: Vec<Partition> = self.names.keys().copied().collect();
        let keys = self.sorted_keys(&partitions)?;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let mut files = Vec::with_capacity(partitions.len());
        for of_one in keys.chunk_by(|one, other| one.0 == other.0) {
            let partition = partitions[of_one[0].0 as usize];
            let origin =
                DataFileOrigin { partition, sorted_by: SortedBy::Identifier, ingested: (0, 0) };
            let name = self.names[&partition];
            let schema = self.batches[0].schema();
            let mut encoder = DataFileEncoder::new(schema, origin, name, of_one.len())?;
            for rows in of_one.chunks(SORTED_BATCH_ROWS) {
                let places: Vec<(usize, usize)> =
                    rows.iter().map(|&(.., batch, row)| (batch as usize, row as usize)).collect();
                let sorted = interleave_record_batch(&batches, &places).map_err(|error| {
                    Error::Arrow { during: "sorting a chunk".into(), source: Arc::new(error) }
                })?;
                encoder.write(&sorted, |identifier| identifier)?;
            }
            files.push(encoder.finish()?);
        }
        Ok(files)
    }

    fn sorted_keys(&self, partitions: &[Partition]) -> Result<Vec<RowKey>> {
        let rows = self.batches.iter().map(RecordBatch::num_rows).sum();
        let mut keys: Vec<RowKey> = Vec::with_capacity(rows);
        for (place, batch) in self.batches.iter().enumerate() {
            let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
            let identifiers = column(batch, event::IDENTIFIER_ID)?.as_primitive::<UInt32Type>();
            let mut partition = 0;
            for (row, &ts) in ts.values().iter().enumerate() {
                if !partitions[partition].contains(ts) {
                    let wanted = Partition::containing(self.unit, ts);
                    partition = partitions.partition_point(|other| *other < wanted);
                }
                let identifier = match identifiers.is_valid(row) {
                    true => u64::from(identifiers.value(row)),
                    false => u64::MAX,
                };
                keys.push((partition as u32, identifier, ts, place as u32, row as u32));
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }
}

/// On how many days something happened.
pub(super) fn days_with_events(batches: &[RecordBatch]) -> Result<u64> {
    let mut days = BTreeSet::new();
    for batch in batches {
        let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
        let mut last = None;
        for &ts in ts.values() {
            let day = ts.div_euclid(DAY_US);
            if last != Some(day) {
                days.insert(day);
                last = Some(day);
            }
        }
    }
    Ok(days.len() as u64)
}

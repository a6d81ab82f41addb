//! A chunk of events becomes one sorted data file per time partition that it touches.

use super::chunk_columns::{ChunkColumns, Place};
use crate::background::Background;
use crate::bucket::Bucket;
use crate::data_file::encode::{DataFileOrigin, column};
use crate::data_file::in_memory::{FileInMemory, encode};
use crate::error::Result;
use crate::event;
use crate::log::action::{DataFile, PartitionUnit, SortedBy};
use crate::partition::{DAY_US, Partition};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// So many files are encoded and stored at a time: while one is made durable, another is encoded.
const FILES_AT_A_TIME: usize = 2;

/// A chunk of events with their identifiers, and the names of the files that it will become.
pub(super) struct ChunkToWrite {
    /// Not empty; all of one schema, that of a data file.
    batches: Vec<RecordBatch>,
    /// The name of the file of each partition. Made beforehand, so that the names of a later
    /// chunk sort after those of an earlier one, even if it is written first.
    names: BTreeMap<Partition, Uuid>,
}

/// A partition with its first and its last instant: to compare is cheaper than to reckon dates.
struct Stretch {
    instants: Range<i64>,
    name: Uuid,
    partition: Partition,
}

/// Where a row of a partition goes, as one number that is quick to compare: 33 bits of identifier
/// (NULL is the largest), 63 bits of µs since the partition began, 32 bits of arrival.
type RowKey = u128;

const IDENTIFIER_SHIFT: u32 = 95;
const TIME_SHIFT: u32 = 32;
const NO_IDENTIFIER: u128 = 1 << 32;

impl ChunkToWrite {
    pub(super) fn new(
        bucket: &Bucket,
        batches: Vec<RecordBatch>,
        unit: PartitionUnit,
    ) -> Result<Self> {
        let mut partitions = BTreeSet::new();
        for batch in &batches {
            let mut last = 0..0;
            for ts in times(batch)?.values() {
                if !last.contains(ts) {
                    let partition = Partition::containing(unit, *ts);
                    last = instants(partition);
                    partitions.insert(partition);
                }
            }
        }
        let names = partitions.into_iter().map(|start| (start, bucket.new_uuid())).collect();
        Ok(Self { batches, names })
    }

    /// Sorts, encodes and writes the files, computing on so many threads.
    pub(super) async fn write(self, bucket: Bucket, threads: usize) -> Result<Vec<DataFile>> {
        let sort = Background::compute("sorting a chunk", move || self.sort());
        let put = |file: FileInMemory| async { encode(file, threads).await?.put(&bucket).await };
        let files = futures::stream::iter(sort.answer().await?).map(put);
        files.buffered(FILES_AT_A_TIME).try_collect().await
    }

    fn sort(self) -> Result<Vec<FileInMemory>> {
        let stretches = self.names.iter().map(|(&partition, &name)| Stretch {
            instants: instants(partition),
            name,
            partition,
        });
        let stretches: Vec<Stretch> = stretches.collect();
        let mut keys = self.keys(&stretches)?;
        let mut starts = Vec::with_capacity(self.batches.len());
        let mut rows = 0;
        for batch in &self.batches {
            starts.push(rows);
            rows += batch.num_rows();
        }
        let place_of = |key: RowKey| -> Place {
            let arrival = key as u32 as usize;
            let batch = starts.partition_point(|&start| start <= arrival) - 1;
            (batch, arrival - starts[batch])
        };
        let columns = ChunkColumns::new(&self.batches[0].schema(), &self.batches);
        let columns = Arc::new(columns);
        drop(self.batches);
        let mut files = Vec::with_capacity(stretches.len());
        for (stretch, keys) in stretches.iter().zip(&mut keys) {
            let keys = std::mem::take(keys);
            let places: Arc<[Place]> = keys.iter().map(|&key| place_of(key)).collect();
            let columns = Arc::clone(&columns);
            let origin = DataFileOrigin {
                partition: stretch.partition,
                sorted_by: SortedBy::Identifier,
                ingested: (0, 0),
            };
            files.push(FileInMemory {
                schema: Arc::clone(columns.schema()),
                origin,
                name: stretch.name,
                keys: keys.iter().map(|&key| identifier_and_time(key, stretch)).collect(),
                pick: Arc::new(move |column, rows| columns.pick(column, &places[rows])),
            });
        }
        Ok(files)
    }

    /// The sorted keys of each partition.
    fn keys(&self, stretches: &[Stretch]) -> Result<Vec<Vec<RowKey>>> {
        let mut keys: Vec<Vec<RowKey>> = vec![Vec::new(); stretches.len()];
        let mut arrival = 0_u32;
        for batch in &self.batches {
            let identifiers = column(batch, event::IDENTIFIER_ID)?.as_primitive::<UInt32Type>();
            let mut at = 0;
            for (row, ts) in times(batch)?.values().iter().enumerate() {
                if !stretches[at].instants.contains(ts) {
                    at = stretches.partition_point(|stretch| stretch.instants.end <= *ts);
                    // The end of time lies behind no partition.
                    at = at.min(stretches.len() - 1);
                }
                let identifier = match identifiers.is_valid(row) {
                    true => u128::from(identifiers.value(row)),
                    false => NO_IDENTIFIER,
                };
                let since = i128::from(*ts) - i128::from(stretches[at].instants.start);
                let since = since.unsigned_abs() << TIME_SHIFT;
                keys[at].push(identifier << IDENTIFIER_SHIFT | since | u128::from(arrival));
                arrival += 1;
            }
        }
        keys.iter_mut().for_each(|keys| keys.sort_unstable());
        Ok(keys)
    }
}

fn identifier_and_time(key: RowKey, stretch: &Stretch) -> (Option<u32>, i64) {
    let identifier = u32::try_from(key >> IDENTIFIER_SHIFT).ok();
    let since = (key >> TIME_SHIFT) as u64 & (u64::MAX >> 1);
    (identifier, stretch.instants.start.saturating_add_unsigned(since))
}

fn instants(partition: Partition) -> Range<i64> {
    partition.start_us..partition.end_us()
}

fn times(batch: &RecordBatch) -> Result<&arrow::array::TimestampMicrosecondArray> {
    Ok(column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>())
}

/// On how many days something happened.
pub(super) fn days_with_events(batches: &[RecordBatch]) -> Result<u64> {
    let mut days = BTreeSet::new();
    for batch in batches {
        let mut last = 0..0;
        for ts in times(batch)?.values() {
            if !last.contains(ts) {
                let day = ts.div_euclid(DAY_US);
                days.insert(day);
                last = day.saturating_mul(DAY_US)..(day + 1).saturating_mul(DAY_US);
            }
        }
    }
    Ok(days.len() as u64)
}

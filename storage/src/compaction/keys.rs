//! What rows are sorted by in a compaction.

use crate::data_file::encode::column;
use crate::error::Result;
use crate::event;
use crate::identity::IdentityMap;
use crate::log::action::PartitionUnit;
use crate::partition::Partition;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};

/// Partition, customer (rows of nobody last), time. Ties keep their ingest order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    pub(super) partition_start_us: i64,
    pub(super) customer: u64,
    pub(super) ts_us: i64,
}

/// The customer of rows without an identifier: after all others.
pub(super) const NOBODY: u64 = u64::MAX;

/// The keys of all rows of a batch.
pub(super) fn keys_of(
    batch: &RecordBatch,
    map: &IdentityMap,
    unit: PartitionUnit,
) -> Result<Vec<RowKey>> {
    let ts = column(batch, event::TS)?.as_primitive::<TimestampMicrosecondType>();
    let identifiers = column(batch, event::IDENTIFIER_ID)?.as_primitive::<UInt32Type>();
    let mut partition: Option<(Partition, i64)> = None;
    let mut keys = Vec::with_capacity(batch.num_rows());
    for (row, &ts_us) in ts.values().iter().enumerate() {
        let (current, end) = match partition {
            Some((current, end)) if current.start_us <= ts_us && ts_us < end => (current, end),
            _ => {
                let current = Partition::containing(unit, ts_us);
                (current, current.end_us())
            }
        };
        partition = Some((current, end));
        let customer = match identifiers.is_valid(row) {
            true => u64::from(map.customer_of(identifiers.value(row))),
            false => NOBODY,
        };
        keys.push(RowKey { partition_start_us: current.start_us, customer, ts_us });
    }
    Ok(keys)
}

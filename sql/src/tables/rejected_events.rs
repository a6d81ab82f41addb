//! `system.rejected_events`: rows that could not be understood, with their reasons.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{conformed, required, schema, time};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;

#[derive(Debug)]
pub(super) struct RejectedEvents;

#[async_trait]
impl SnapshotRows for RejectedEvents {
    fn schema(&self) -> SchemaRef {
        schema([
            time("rejected_at"),
            required("source", DataType::Utf8),
            required("row", DataType::Int64),
            required("reason", DataType::Utf8),
            required("raw", DataType::Utf8),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let batches = pinned.store().rejected_batches(pinned.snapshot()).await?;
        conformed(&batches, &self.schema())
    }
}

//! `system.links`: which identifiers belong together, by what evidence, and what came of it.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{conformed, optional, required, schema};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;
use habitue_storage::event::timestamp_type;

#[derive(Debug)]
pub(super) struct Links;

#[async_trait]
impl SnapshotRows for Links {
    fn schema(&self) -> SchemaRef {
        schema([
            required("identifier_a", DataType::Int64),
            required("identifier_b", DataType::Int64),
            required("kind", DataType::Utf8),
            optional("valid_from", timestamp_type()),
            optional("source", DataType::Utf8),
            optional("evidence", DataType::Utf8),
            optional("weight", DataType::Float32),
            optional("status", DataType::Utf8),
            optional("reason", DataType::Utf8),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let batches = pinned.store().link_batches(pinned.snapshot()).await?;
        conformed(&batches, &self.schema())
    }
}

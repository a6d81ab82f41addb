//! What a statement answers.

use crate::error::Result;
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use futures::TryStreamExt;
use std::sync::Arc;

/// The rows of an answer, as they are computed.
pub struct Answer {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows; dropping it cancels the query.
    pub stream: SendableRecordBatchStream,
    /// How many events or rows the statement added, if it is one that adds.
    pub rows_added: Option<u64>,
}

impl Answer {
    /// An answer of rows that are computed as they are read.
    pub(crate) fn of_stream(stream: SendableRecordBatchStream) -> Self {
        Self { schema: stream.schema(), stream, rows_added: None }
    }

    /// An answer of rows that are in memory.
    pub(crate) fn of_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        let stream = MemoryStream::try_new(batches, schema, None)?;
        Ok(Self::of_stream(Box::pin(stream)))
    }

    /// One row with one column, `message`.
    pub(crate) fn of_message(message: impl Into<String>) -> Result<Self> {
        Self::of_messages([message.into()])
    }

    /// A row for each message.
    pub(crate) fn of_messages(messages: impl IntoIterator<Item = String>) -> Result<Self> {
        let schema = message_schema();
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(messages));
        let batch = RecordBatch::try_new(schema.clone(), vec![column])
            .map_err(|error| crate::Error::from_datafusion(error.into(), ""))?;
        Self::of_batches(schema, vec![batch])
    }

    pub(crate) fn with_rows_added(self, rows: u64) -> Self {
        Self { rows_added: Some(rows), ..self }
    }

    /// All rows.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        Ok(self.stream.try_collect().await?)
    }
}

/// How many rows the engine says it added: it answers an INSERT with one row, `count`.
pub(crate) fn counted(batches: &[RecordBatch]) -> Option<u64> {
    let [batch] = batches else { return None };
    let schema = batch.schema();
    let [field] = &schema.fields()[..] else { return None };
    let counts = batch.column(0).as_any().downcast_ref::<UInt64Array>()?;
    (field.name() == "count" && counts.len() == 1).then(|| counts.value(0))
}

/// The answer of statements that change something.
pub(crate) fn message_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("message", DataType::Utf8, false)]))
}

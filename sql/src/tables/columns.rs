//! Columns of system tables, out of plain values.

use crate::error::{Error, Result};
use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use habitue_storage::event::timestamp_type;
use std::sync::Arc;

/// A column that is never NULL.
pub(crate) fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

/// A column that may be NULL.
pub(crate) fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// A column of times.
pub(crate) fn time(name: &str) -> Field {
    required(name, timestamp_type())
}

/// The columns of a table.
pub(crate) fn schema(fields: impl Into<Vec<Field>>) -> SchemaRef {
    Arc::new(Schema::new(fields.into()))
}

/// BIGINTs; numbers that do not fit become the largest.
pub(crate) fn bigints(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    let values = values.into_iter().map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(values))
}

/// BIGINTs or NULLs.
pub(crate) fn optional_bigints(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    let fitting = |value| i64::try_from(value).unwrap_or(i64::MAX);
    Arc::new(values.into_iter().map(|value| value.map(fitting)).collect::<Int64Array>())
}

/// Texts.
pub(crate) fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Texts or NULLs.
pub(crate) fn optional_texts<T: AsRef<str>>(
    values: impl IntoIterator<Item = Option<T>>,
) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// Times, from µs since the epoch.
pub(crate) fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

/// Times or NULLs, from µs since the epoch.
pub(crate) fn optional_times(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    let times: TimestampMicrosecondArray = values.into_iter().collect();
    Arc::new(times.with_timezone("UTC"))
}

/// Truths.
pub(crate) fn booleans(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())
}

/// The rows of a table as one batch.
pub(crate) fn one_batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Vec<RecordBatch>> {
    let batch = RecordBatch::try_new(schema, columns);
    batch.map(|batch| vec![batch]).map_err(|error| Error::from_datafusion(error.into(), ""))
}

/// A word as JSON spells it, without the quotes: the names of enumerations in the log.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The batches with these columns, found by name and cast.
pub(crate) fn conformed(batches: &[RecordBatch], schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let conform = |batch: &RecordBatch| {
        let columns = schema.fields().iter().map(|field| {
            let column = batch.schema().index_of(field.name())?;
            cast(batch.column(column), field.data_type())
        });
        RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<_>, _>>()?)
    };
    let batches = batches.iter().map(conform).collect::<Result<Vec<_>, ArrowError>>();
    batches.map_err(|error| Error::from_datafusion(error.into(), ""))
}

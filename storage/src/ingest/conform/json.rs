//! Rows as JSON objects: unknown columns as members of `properties`, rejected rows as they came.

use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow::json::LineDelimitedWriter;
use std::sync::Arc;

/// One JSON object per row of these columns; NULL columns are left out.
///
/// # Errors
/// [`Error::Invalid`] when a column has a type that JSON has no words for.
pub(crate) fn objects(batch: &RecordBatch) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if batch.num_columns() == 0 {
        return Ok(vec!["{}".into(); batch.num_rows()]);
    }
    let mut writer = LineDelimitedWriter::new(&mut lines);
    writer
        .write(batch)
        .and_then(|()| writer.finish())
        .map_err(|error| Error::invalid("a column", format!("cannot be told as JSON: {error}")))?;
    let text = String::from_utf8(lines)
        .map_err(|_| Error::Internal("rows as JSON are not UTF-8".into()))?;
    let objects: Vec<String> = text.lines().map(str::to_owned).collect();
    if objects.len() != batch.num_rows() {
        let reason = format!("{} rows became {} lines of JSON", batch.num_rows(), objects.len());
        return Err(Error::Internal(reason));
    }
    Ok(objects)
}

/// One JSON value per row of a nested column; `None` where it is NULL.
pub(crate) fn values(array: &ArrayRef) -> Result<Vec<Option<String>>> {
    const BEFORE: &str = "{\"v\":";
    let field = Field::new("v", array.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(array)])
        .map_err(|error| Error::Internal(format!("a column makes no batch: {error}")))?;
    let objects = objects(&batch)?;
    Ok(objects
        .into_iter()
        .enumerate()
        .map(|(row, object)| {
            let value = object.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix('}'));
            array.is_valid(row).then(|| value.map(str::to_owned)).flatten()
        })
        .collect())
}

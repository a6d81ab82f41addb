//! CSV with a header line; lists and structs stand in it as JSON text.

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder;
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonWriterBuilder};
use std::sync::Arc;

/// Whether the names of the columns come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// They do.
    Written,
    /// They were written before.
    Omitted,
}

/// Writes the rows of a batch.
pub(crate) fn write(
    batch: &RecordBatch,
    header: Header,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    let flat = flattened(batch)?;
    WriterBuilder::new().with_header(header == Header::Written).build(out).write(&flat)
}

fn flattened(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let flat = if column.data_type().is_nested() { as_json(column)? } else { column.clone() };
        Ok((field.name().clone(), flat))
    });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
    if columns.is_empty() {
        return Ok(batch.clone());
    }
    RecordBatch::try_from_iter(columns)
}

/// Each value of a nested column as JSON text, by way of objects with one field.
fn as_json(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    const OPEN: &str = "{\"v\":";
    let batch = RecordBatch::try_from_iter_with_nullable([("v", column.clone(), true)])?;
    let builder = JsonWriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = String::from_utf8_lossy(writer.get_ref()).into_owned();
    let values = lines.lines().enumerate().map(|(row, line)| {
        let value = line.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix('}'));
        value.filter(|_| column.is_valid(row))
    });
    Ok(Arc::new(values.collect::<StringArray>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, ListArray};
    use arrow::datatypes::Int32Type;

    #[test]
    fn lists_are_json_and_missing_values_are_empty() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
        let columns = [("list", Arc::new(lists) as ArrayRef), ("n", numbers)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut out = Vec::new();
        write(&batch, Header::Written, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "list,n\n\"[1,null]\",1\n,\n[],3\n");
    }
}

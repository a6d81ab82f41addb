//! A Markdown table, as issues and notes show it.

use crate::cli::output::cell::{Align, Column};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use std::io::Write;

/// Writes the head: names, and on which side the columns line up.
pub(crate) fn head(schema: &Schema, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let names: Vec<_> = schema.fields().iter().map(|field| escaped(field.name())).collect();
    writeln!(out, "| {} |", names.join(" | "))?;
    let sides = schema.fields().iter().map(|field| match Align::of(field.data_type()) {
        Align::Left => "---",
        Align::Right => "---:",
    });
    writeln!(out, "| {} |", sides.collect::<Vec<_>>().join(" | "))?;
    Ok(())
}

/// Writes the rows of a batch.
pub(crate) fn rows(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let columns = Column::all(batch)?;
    for row in 0..batch.num_rows() {
        let cells = columns.iter().map(|column| Ok(escaped(column.cell(row)?.text())));
        let cells = cells.collect::<Result<Vec<_>, ArrowError>>()?;
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn bars_inside_values_do_not_end_a_cell() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a|b"), None]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("t|x", texts), ("n", numbers)]).unwrap();
        let mut out = Vec::new();
        head(&batch.schema(), &mut out).unwrap();
        rows(&batch, &mut out).unwrap();
        let expected = "| t\\|x | n |\n| --- | ---: |\n| a\\|b | 1 |\n| NULL | 2 |\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

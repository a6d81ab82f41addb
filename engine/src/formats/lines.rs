//! Lines of text as a table with the columns `line_number` and `line`.

use super::blocks::LineBlock;
use super::line_parser::lines_of;
use super::{Block, RunBuilder};
use crate::error::Result;
use arrow::array::{ArrayRef, Int64Array, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// The columns of a table of lines.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("line_number", DataType::Int64, false),
        Field::new("line", DataType::Utf8, false),
    ]))
}

/// The lines of a block that are not blank.
pub(super) fn parse(block: LineBlock) -> Result<Block> {
    let mut rejects = Vec::from_iter(block.overlong);
    let mut texts = StringBuilder::with_capacity(block.text.len() / 64, block.text.len());
    let mut line_numbers = Vec::new();
    let mut numbers = RunBuilder::default();
    for line in lines_of(&block.text, block.first_line) {
        match line {
            Ok((number, line)) => {
                texts.append_value(line);
                line_numbers.push(i64::try_from(number).unwrap_or(i64::MAX));
                numbers.push(number);
            }
            Err(reject) => rejects.push(reject),
        }
    }
    if numbers.rows == 0 {
        return Ok(Block { rejects, ..Block::default() });
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(line_numbers)), Arc::new(texts.finish())];
    Ok(Block { batch: Some(RecordBatch::try_new(schema(), columns)?), runs: numbers.runs, rejects })
}

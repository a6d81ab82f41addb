//! NDJSON of any shape as a table, for a SELECT: one column per key, nested as it comes.
//!
//! The columns and types are those of the first block of lines. A later line that does not fit them
//! becomes a reject with its reason; keys that the first block does not have are not columns.

use super::blocks::{LineBlock, LineBlocks};
use super::line_parser::lines_of;
use super::pump::{BlockParser, parse_in_order, pump};
use super::{Block, Blocks, Reject, RunBuilder};
use crate::error::{Error, Result};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_iterator;
use arrow::record_batch::RecordBatch;
use serde_json::Value;
use std::io::Read;
use std::sync::Arc;

/// The types come from at most so many lines of the first block.
const LINES_SEEN_MAX: usize = 10_000;

/// Opens NDJSON as a table. Blocks until the first block of lines is there.
pub(super) fn open(
    name: &str,
    reader: Box<dyn Read + Send>,
    threads: usize,
) -> Result<(SchemaRef, Blocks)> {
    let mut blocks = LineBlocks::new(reader);
    let read_error = |name: &str, source| Error::input(name, "read", source);
    let mut first = blocks.next_block().map_err(|source| read_error(name, source))?;
    let seen = first.as_ref().unwrap_or(&LineBlock::default()).text.clone();
    let schema = Arc::new(infer(&seen).map_err(|reason| Error::unreadable(name, reason))?);
    let block_schema = schema.clone();
    let parser: BlockParser = Arc::new(move |block| parse(&block_schema, block));
    let name = name.to_owned();
    let blocks = pump(move || match first.take() {
        Some(block) => Ok(Some(block)),
        None => blocks.next_block().map_err(|source| read_error(&name, source)),
    });
    Ok((schema, parse_in_order(blocks, parser, threads)))
}

/// The columns of these lines; lines that are no objects say nothing.
fn infer(text: &[u8]) -> Result<Schema, String> {
    let values = lines_of(text, 1)
        .filter_map(Result::ok)
        .take(LINES_SEEN_MAX)
        .filter_map(|(_, line)| serde_json::from_str::<Value>(line).ok())
        .filter(Value::is_object)
        .map(Ok);
    let schema = infer_json_schema_from_iterator(values).map_err(|error| {
        format!(
            "a key holds an object on one line and something else on another: {error}; read it \
             with --format lines and the JSON functions"
        )
    })?;
    Ok(Schema::new(known_fields(schema.fields())))
}

/// A key that was always null may hold text later.
fn known_fields(fields: &Fields) -> Fields {
    let known = |field: &Arc<Field>| Field::new(field.name(), known_type(field.data_type()), true);
    fields.iter().map(known).collect()
}

fn known_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::List(item) => {
            DataType::List(Arc::new(Field::new(item.name(), known_type(item.data_type()), true)))
        }
        DataType::Struct(fields) => DataType::Struct(known_fields(fields)),
        known => known.clone(),
    }
}

fn parse(schema: &SchemaRef, block: LineBlock) -> Result<Block> {
    let mut rejects = Vec::from_iter(block.overlong);
    let mut lines = Vec::new();
    for line in lines_of(&block.text, block.first_line) {
        match line {
            Ok(line) => lines.push(line),
            Err(reject) => rejects.push(reject),
        }
    }
    let mut numbers = RunBuilder::default();
    let batch = match decode(schema, lines.iter().map(|(_, line)| *line)) {
        Ok(batch) if batch.num_rows() == lines.len() => {
            lines.iter().for_each(|(number, _)| numbers.push(*number));
            batch
        }
        // Some line is wrong: which one shows only when each is read for itself.
        _ => decode_one_by_one(schema, &lines, &mut numbers, &mut rejects)?,
    };
    let batch = (batch.num_rows() > 0).then_some(batch);
    Ok(Block { batch, runs: numbers.runs, rejects })
}

fn decode<'a>(
    schema: &SchemaRef,
    lines: impl ExactSizeIterator<Item = &'a str>,
) -> Result<RecordBatch, ArrowError> {
    let rows = lines.len().max(1);
    let mut decoder = ReaderBuilder::new(schema.clone())
        // One more than there should be: a second object on a line must not go unseen.
        .with_batch_size(rows + 1)
        .with_coerce_primitive(true)
        .build_decoder()?;
    for line in lines {
        decoder.decode(line.as_bytes())?;
        decoder.decode(b"\n")?;
    }
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(schema.clone())))
}

fn decode_one_by_one(
    schema: &SchemaRef,
    lines: &[(u64, &str)],
    numbers: &mut RunBuilder,
    rejects: &mut Vec<Reject>,
) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    for (number, line) in lines {
        match decode(schema, [*line].into_iter()) {
            Ok(batch) if batch.num_rows() == 1 => {
                numbers.push(*number);
                batches.push(batch);
            }
            answer => {
                let reason = match answer {
                    Ok(batch) => format!("{} objects on the line, wanted one", batch.num_rows()),
                    Err(error) => format!("does not fit the columns of the first lines: {error}"),
                };
                rejects.push(Reject { row: *number, reason, raw: (*line).into() });
            }
        }
    }
    Ok(concat_batches(schema, &batches)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Block {
        let schema = Arc::new(infer(text.as_bytes()).unwrap());
        parse(&schema, LineBlock { first_line: 1, text: text.into(), overlong: None }).unwrap()
    }

    #[test]
    fn nested_lines_become_lists_of_structs() {
        let block = read("{\"session\":0,\"events\":[{\"aid\":1,\"type\":\"clicks\"}]}\n");
        let schema = block.batch.unwrap().schema();
        assert!(matches!(
            schema.field_with_name("events").unwrap().data_type(),
            DataType::List(item) if matches!(item.data_type(), DataType::Struct(_))
        ));
    }

    #[test]
    fn a_line_that_does_not_fit_is_rejected_alone() {
        let schema = Arc::new(infer(b"{\"a\":1,\"b\":null}\n").unwrap());
        let text = "{\"a\":1}\n{\"a\":{}}\n{\"a\":\n{\"a\":2,\"b\":\"x\"}\n{\"a\":3}{\"a\":4}\n";
        let block = LineBlock { first_line: 1, text: text.into(), overlong: None };
        let block = parse(&schema, block).unwrap();
        assert_eq!(block.batch.unwrap().num_rows(), 2);
        let rows: Vec<_> = block.rejects.iter().map(|reject| reject.row).collect();
        assert_eq!(rows, [2, 3, 5]);
    }
}

//! Parquet files and Arrow IPC files and streams.

use super::pump::pump;
use super::{Block, Blocks};
use crate::error::{Error, Result};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of one batch: enough to amortise the work per batch, few enough for wide rows.
const BATCH_ROWS: usize = 8192;

/// Reads a Parquet file; progress is told by rows.
pub(super) fn parquet(
    name: &str,
    file: File,
    bytes_read: Arc<AtomicU64>,
) -> Result<(SchemaRef, Blocks)> {
    let bytes = file.metadata().map_err(|source| Error::input(name, "read", source))?.len();
    let open_error = |error: parquet::errors::ParquetError| {
        Error::unreadable(name, format!("not a whole Parquet file: {error}"))
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(open_error)?;
    let schema = builder.schema().clone();
    let rows_total = builder.metadata().file_metadata().num_rows().max(1) as f64;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(open_error)?;
    bytes_read.store(0, Ordering::Relaxed);
    let mut rows = 0.0;
    let reader = reader.inspect(move |batch| {
        rows += batch.as_ref().map_or(0, RecordBatch::num_rows) as f64;
        bytes_read.store((bytes as f64 * rows / rows_total) as u64, Ordering::Relaxed);
    });
    Ok((schema, blocks_of(name, reader)))
}

/// Reads an Arrow IPC file.
pub(super) fn arrow_file(name: &str, file: File) -> Result<(SchemaRef, Blocks)> {
    let reader =
        FileReader::try_new(BufReader::new(file), None).map_err(|error| not_arrow(name, &error))?;
    Ok((reader.schema(), blocks_of(name, reader)))
}

/// Reads an Arrow IPC stream.
pub(super) fn arrow_stream(
    name: &str,
    reader: impl Read + Send + 'static,
) -> Result<(SchemaRef, Blocks)> {
    let reader = BufReader::new(reader);
    let reader = StreamReader::try_new(reader, None).map_err(|error| not_arrow(name, &error))?;
    Ok((reader.schema(), blocks_of(name, reader)))
}

fn not_arrow(name: &str, error: &ArrowError) -> Error {
    Error::unreadable(name, format!("not a whole Arrow file or stream: {error}"))
}

fn blocks_of(
    name: &str,
    mut reader: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
) -> Blocks {
    let name = name.to_owned();
    let mut next_row = 1;
    pump(move || {
        let Some(batch) = reader.next() else {
            return Ok(None);
        };
        let batch = batch.map_err(|error| {
            Error::unreadable(&name, format!("rows from {next_row} on are damaged: {error}"))
        })?;
        let first_row = next_row;
        next_row += batch.num_rows() as u64;
        Ok(Some(Block::whole(batch, first_row)))
    })
}

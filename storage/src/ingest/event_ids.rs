//! Ids for events that bring none: a hash of what the row says, and its occurrence number.
//!
//! The id is `h<32 hex digits>-<n>`. The digits are XXH3-128 of the row's content: for each value
//! that is not NULL, in the order of the data file's columns, the column's name, a zero byte, the
//! length of the value as 32 bits and its bytes (timestamps: µs as 64 bits; decimals: units of
//! 0.0001 as 128 bits; all little-endian). `event_id` and `received_at` do not count. `n` is 1 for
//! the first of equal rows of one ingest, 2 for the next, and so on. So the same rows get the same
//! ids whichever way they are cut into batches, and whatever format they came in.

use super::DuplicateRow;
use super::occurrence::OccurrenceCounter;
use crate::error::{Error, Result};
use crate::event;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, RecordBatch, StringArray,
    StringBuilder,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, TimestampMicrosecondType};
use std::fmt::Write;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Gives each row of a chunk an id. Answers its batches and how many rows were dropped as equal to
/// others.
pub(super) fn fill(
    chunk: Vec<RecordBatch>,
    counter: &mut OccurrenceCounter,
    on_duplicate: DuplicateRow,
) -> Result<(Vec<RecordBatch>, u64)> {
    let mut lacking = Vec::with_capacity(chunk.len());
    let mut hashes = Vec::new();
    for events in &chunk {
        let rows = rows_without_id(events)?;
        hashes.extend(content_hashes(events, &rows)?);
        lacking.push(rows);
    }
    if hashes.is_empty() {
        return Ok((chunk, 0));
    }
    // All at once: the counter goes through what it knows each time.
    let short: Vec<u64> = hashes.iter().map(|&hash| hash as u64).collect();
    let numbers = counter.number(&short)?;
    let mut made = hashes.into_iter().zip(numbers);
    let mut dropped = 0;
    let mut filled = Vec::with_capacity(chunk.len());
    for (events, rows) in chunk.into_iter().zip(lacking) {
        if rows.is_empty() {
            filled.push(events);
            continue;
        }
        let made: Vec<(u128, u32)> = made.by_ref().take(rows.len()).collect();
        let (events, dropped_here) = fill_batch(&events, &rows, &made, on_duplicate)?;
        dropped += dropped_here;
        filled.push(events);
    }
    Ok((filled, dropped))
}

fn rows_without_id(events: &RecordBatch) -> Result<Vec<usize>> {
    let given = events.column(place_of_event_id(events)?).as_string::<i32>();
    let lacks_id = |row: &usize| given.is_null(*row) || given.value(*row).is_empty();
    Ok((0..given.len()).filter(lacks_id).collect())
}

/// Gives ids to these rows of a batch, made of their content's hash and occurrence number.
fn fill_batch(
    events: &RecordBatch,
    rows: &[usize],
    made: &[(u128, u32)],
    on_duplicate: DuplicateRow,
) -> Result<(RecordBatch, u64)> {
    let place = place_of_event_id(events)?;
    let given = events.column(place).as_string::<i32>();
    let mut ids = StringBuilder::with_capacity(given.len(), given.len() * 36);
    let mut is_kept = vec![true; given.len()];
    let mut next = rows.iter().zip(made).peekable();
    for (row, is_kept) in is_kept.iter_mut().enumerate() {
        let Some((_, (hash, number))) = next.next_if(|(lacking, _)| **lacking == row) else {
            ids.append_value(given.value(row));
            continue;
        };
        *is_kept = on_duplicate == DuplicateRow::Keep || *number == 1;
        // Writing into memory cannot fail.
        let _ = write!(ids, "h{hash:032x}-{number}");
        ids.append_value("");
    }
    let events = with_event_ids(events, place, ids.finish())?;
    let dropped = is_kept.iter().filter(|is_kept| !**is_kept).count() as u64;
    if dropped == 0 {
        return Ok((events, 0));
    }
    let events = filter_record_batch(&events, &BooleanArray::from(is_kept));
    Ok((events.map_err(|error| arrow_error("dropping equal rows", error))?, dropped))
}

fn place_of_event_id(events: &RecordBatch) -> Result<usize> {
    events
        .schema_ref()
        .index_of(event::EVENT_ID)
        .map_err(|error| arrow_error("looking for event ids", error))
}

fn with_event_ids(events: &RecordBatch, place: usize, ids: StringArray) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = events.columns().to_vec();
    columns[place] = Arc::new(ids);
    RecordBatch::try_new(events.schema(), columns)
        .map_err(|error| arrow_error("putting event ids in", error))
}

/// A column as the hash reads it.
enum Content<'a> {
    Text(&'a StringArray),
    Label(&'a DictionaryArray<Int32Type>, &'a StringArray),
    Time(&'a [i64]),
    Decimal(&'a arrow::array::Decimal128Array),
}

fn content_hashes(events: &RecordBatch, rows: &[usize]) -> Result<Vec<u128>> {
    let mut columns = Vec::new();
    for (field, array) in events.schema_ref().fields().iter().zip(events.columns()) {
        let name = field.name().as_str();
        if name == event::EVENT_ID || name == event::RECEIVED_AT {
            continue;
        }
        columns.push((name, array.as_ref(), content_of(array)?));
    }
    let mut bytes = Vec::with_capacity(512);
    Ok(rows
        .iter()
        .map(|&row| {
            bytes.clear();
            for (name, array, content) in &columns {
                if array.is_valid(row) {
                    bytes.extend_from_slice(name.as_bytes());
                    bytes.push(0);
                    put_value(&mut bytes, content, row);
                }
            }
            xxh3_128(&bytes)
        })
        .collect())
}

fn content_of(array: &ArrayRef) -> Result<Content<'_>> {
    Ok(match array.data_type() {
        DataType::Utf8 => Content::Text(array.as_string()),
        DataType::Dictionary(..) => {
            let labels = array.as_dictionary::<Int32Type>();
            Content::Label(labels, labels.values().as_string())
        }
        DataType::Timestamp(..) => {
            Content::Time(array.as_primitive::<TimestampMicrosecondType>().values())
        }
        DataType::Decimal128(..) => Content::Decimal(array.as_primitive::<Decimal128Type>()),
        other => {
            return Err(Error::Internal(format!("events have no columns of type {other}")));
        }
    })
}

fn put_value(bytes: &mut Vec<u8>, content: &Content<'_>, row: usize) {
    let mut put = |value: &[u8]| {
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(value);
    };
    match content {
        Content::Text(text) => put(text.value(row).as_bytes()),
        Content::Label(labels, names) => {
            let name = labels.key(row).map_or("", |key| names.value(key));
            put(name.as_bytes());
        }
        Content::Time(times) => put(&times[row].to_le_bytes()),
        Content::Decimal(units) => put(&units.value(row).to_le_bytes()),
    }
}

fn arrow_error(during: &str, error: arrow::error::ArrowError) -> Error {
    Error::Arrow { during: during.into(), source: Arc::new(error) }
}

//! The same events, written in every format.

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use habitue::arrow;
use parquet::arrow::ArrowWriter;
use std::io::Write;
use std::sync::Arc;

/// The columns that are written; all of them as text.
const COLUMNS: [&str; 12] = [
    "ts",
    "event",
    "channel",
    "campaign",
    "user_id",
    "anonymous_id",
    "amount",
    "currency",
    "order_id",
    "product_id",
    "quantity",
    "properties",
];

/// Events without ids that are hard to write: quotes, line ends, other scripts, nothing at all,
/// and each tenth one equal to the one before.
pub(crate) fn sample(rows: usize) -> RecordBatch {
    let column = |at: usize| -> ArrayRef {
        let cells = (0..rows).map(|row| cell(at, if row % 10 == 9 { row - 1 } else { row }));
        Arc::new(StringArray::from_iter(cells))
    };
    let columns = COLUMNS.iter().enumerate().map(|(at, name)| (*name, column(at), true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn cell(column: usize, row: usize) -> Option<String> {
    let money = row.is_multiple_of(3);
    match COLUMNS[column] {
        "ts" => Some(format!("2026-02-{:02}T{:02}:00:00.25Z", row % 28 + 1, row / 28 % 24)),
        "event" => Some(["view", "add, to \"cart\"", "größe", "purchase"][row % 4].into()),
        "channel" => (!row.is_multiple_of(5)).then(|| "web".into()),
        "campaign" => (row.is_multiple_of(7)).then(|| "two\nlines\\".into()),
        "user_id" => (row.is_multiple_of(2)).then(|| format!("u{}", row % 40)),
        "anonymous_id" => (row % 4 != 2).then(|| format!("d{}", row % 60)),
        "amount" => money.then(|| format!("{}.{:02}", row, row % 100)),
        "currency" => money.then(|| "EUR".into()),
        "order_id" => money.then(|| format!("00{row}")),
        "product_id" => (row % 6 == 1).then(|| format!("p;{row}|")),
        "quantity" => money.then(|| "2".into()),
        "properties" => {
            (row % 3 == 1).then(|| format!("{{\"row\":{row},\"deep\":{{\"x\":[1,\"ü\"]}}}}"))
        }
        other => unreachable!("no column {other}"),
    }
}

/// The batch as NDJSON of the own shape: amounts as numbers, properties partly as bare keys.
pub(crate) fn ndjson(batch: &RecordBatch) -> Vec<u8> {
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        let source = if row % 10 == 9 { row - 1 } else { row };
        let mut entries = Vec::new();
        for (at, name) in COLUMNS.iter().enumerate() {
            let Some(value) = cell(at, source) else {
                continue;
            };
            entries.push(match *name {
                "amount" | "quantity" => format!("\"{name}\":{value}"),
                "properties" if row.is_multiple_of(2) => value[1..value.len() - 1].to_owned(),
                "properties" => format!("\"properties\":{value}"),
                _ => format!("\"{name}\":{}", serde_json::Value::from(value)),
            });
        }
        text.push_str(&format!("{{{}}}\n", entries.join(",")));
    }
    text.into_bytes()
}

pub(crate) fn csv(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    WriterBuilder::new().build(&mut bytes).write(batch).unwrap();
    bytes
}

pub(crate) fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

pub(crate) fn arrow_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

pub(crate) fn arrow_stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Two members, as `cat a.gz b.gz` makes them.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [first, second].map(gzip_member).concat()
}

fn gzip_member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

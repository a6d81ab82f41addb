//! A file says the same in every format.

use crate::answers::{all_events, cell, empty, ingest, number};
use crate::events_in_all_formats::{
    arrow_file, arrow_stream, csv, gzip, ndjson, parquet, sample, zstd,
};
use habitue::{DuplicateRow, IngestRequest, Input};
use std::io::Read;

const ROWS: usize = 500;

fn all_formats() -> Vec<(&'static str, Vec<u8>)> {
    let batch = sample(ROWS);
    vec![
        ("events.ndjson", ndjson(&batch)),
        ("events.csv", csv(&batch)),
        ("events.parquet", parquet(&batch)),
        ("events.arrow", arrow_file(&batch)),
        ("events.arrows", arrow_stream(&batch)),
        ("events.ndjson.gz", gzip(&ndjson(&batch))),
        ("events.csv.zst", zstd(&csv(&batch))),
        ("events.parquet.gz", gzip(&parquet(&batch))),
        ("events.arrow.zst", zstd(&arrow_file(&batch))),
        // Nothing but the content tells what these are.
        ("nameless", ndjson(&batch)),
        ("stdin", zstd(&csv(&batch))),
    ]
}

// A user who exports as CSV today and as Parquet tomorrow would have everything twice.
#[tokio::test]
async fn every_format_gives_the_same_database() {
    let mut expected = None;
    for (name, bytes) in all_formats() {
        let engine = empty().await;
        let summary = ingest(&engine, name, bytes).await;
        assert_eq!(summary.events_accepted, ROWS as u64, "{name}");
        assert_eq!(summary.rejected, 0, "{name}");
        let events = all_events(&engine).await;
        let expected = expected.get_or_insert_with(|| events.clone());
        assert_eq!(&events, expected, "{name}");
    }
}

// Events would be counted twice when a job is started again.
#[tokio::test]
async fn the_same_events_in_any_format_add_nothing() {
    let engine = empty().await;
    for (at, (name, bytes)) in all_formats().into_iter().enumerate() {
        let summary = ingest(&engine, name, bytes).await;
        let expected = if at == 0 { (ROWS as u64, 0) } else { (0, ROWS as u64) };
        assert_eq!((summary.events_accepted, summary.duplicates), expected, "{name}");
        assert_eq!(summary.version.is_none(), at > 0, "{name}");
    }
    assert_eq!(number(&engine, "SELECT count(*) FROM events").await, ROWS as i64);
}

// Order numbers would lose their zeros, names their letters.
#[tokio::test]
async fn values_come_out_as_they_went_in() {
    let engine = empty().await;
    ingest(&engine, "events.csv", csv(&sample(ROWS))).await;
    let of = |what: &str, row: u32| {
        format!("SELECT DISTINCT {what} FROM events WHERE order_id = '00{row}'")
    };
    assert_eq!(cell(&engine, &of("event", 42)).await, "größe");
    assert_eq!(cell(&engine, &of("amount", 42)).await, "42.4200");
    assert_eq!(cell(&engine, &of("campaign", 42)).await, "two\nlines\\");
    let properties = "SELECT properties FROM events WHERE product_id = 'p;31|'";
    assert_eq!(cell(&engine, properties).await, r#"{"row":31,"deep":{"x":[1,"ü"]}}"#);
}

#[tokio::test]
async fn equal_rows_are_dropped_when_asked() {
    let engine = empty().await;
    let input = Input::from_bytes("events.csv", csv(&sample(100)));
    let request = IngestRequest::new(input).on_duplicate_row(DuplicateRow::Drop);
    let summary = engine.ingest(request).await.unwrap();
    assert_eq!((summary.events_accepted, summary.duplicates), (90, 10));
}

/// Gives its bytes in tiny pieces, as a slow pipe does.
struct Dribble(std::io::Cursor<Vec<u8>>);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end = buffer.len().min(7);
        self.0.read(&mut buffer[..end])
    }
}

// A pipe gives what it has; a reader that takes a short read for the end would lose events.
#[tokio::test]
async fn a_slow_pipe_is_read_to_its_end() {
    for (name, bytes) in all_formats() {
        let engine = empty().await;
        let reader = Box::new(Dribble(std::io::Cursor::new(bytes)));
        let request = IngestRequest::new(Input::Reader { name: name.into(), reader });
        let summary = engine.ingest(request).await.unwrap();
        assert_eq!(summary.events_accepted, ROWS as u64, "{name}");
    }
}

// Half a file would pass for the whole one.
#[tokio::test]
async fn a_file_that_is_cut_off_commits_nothing() {
    let cut = ["events.parquet", "events.arrow", "events.ndjson.gz", "events.csv.zst"];
    for (name, bytes) in all_formats().into_iter().filter(|(name, _)| cut.contains(name)) {
        let engine = empty().await;
        let bytes = bytes[..bytes.len() * 3 / 4].to_vec();
        let answer = engine.ingest(IngestRequest::new(Input::from_bytes(name, bytes))).await;
        assert!(answer.is_err(), "{name}");
        assert_eq!(number(&engine, "SELECT count(*) FROM events").await, 0, "{name}");
    }
}

#[tokio::test]
async fn an_empty_file_of_a_known_kind_is_no_events() {
    for name in ["a.ndjson", "a.csv", "a.ndjson.gz"] {
        let bytes = if name.ends_with("gz") { gzip(b"") } else { Vec::new() };
        let summary = ingest(&empty().await, name, bytes).await;
        assert_eq!(summary.version, None, "{name}");
    }
}

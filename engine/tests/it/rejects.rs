//! What cannot be understood is kept with its reason, and never spoils the rest.

use crate::answers::{cell, empty, ingest, number, request, rows};
use habitue::ErrorKind;

const REJECTED: &str = "SELECT \"row\", reason FROM system.rejected_events ORDER BY \"row\"";

const LINES: &[u8] = b"{\"ts\":\"2026-01-01T00:00:00Z\",\"event\":\"a\"}
{\"ts\":\"2026-01-01T00:00:00Z\",\"event\":
\xff\xfe not text
[1,2]
{\"event\":\"no time\"}
{\"ts\":\"20250-01-01T00:00:00Z\",\"event\":\"far\"}
{\"ts\":\"2026-01-01\",\"event\":\"b\",\"amount\":\"free\"}

{\"ts\":\"2026-01-02T00:00:00Z\",\"event\":\"c\"}
";

// One bad line in a million would lose the million, or vanish without a word.
#[tokio::test]
async fn bad_lines_are_kept_with_number_and_reason() {
    let engine = empty().await;
    let summary = ingest(&engine, "lines.ndjson", LINES).await;
    assert_eq!((summary.events_accepted, summary.rejected), (2, 6));
    let rejected = rows(&engine, REJECTED).await;
    let numbers: Vec<_> = rejected.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(numbers, ["2", "3", "4", "5", "6", "7"]);
    let wanted = ["not valid JSON", "not UTF-8", "not a JSON object", "ts", "ts", "amount"];
    for (row, wanted) in rejected.iter().zip(wanted) {
        assert!(row[1].contains(wanted), "{row:?} does not say {wanted}");
    }
    let raw = "SELECT raw FROM system.rejected_events WHERE \"row\" = 2";
    assert_eq!(cell(&engine, raw).await, r#"{"ts":"2026-01-01T00:00:00Z","event":"#);
}

// A limit that stops too late would leave half a bad file in the database.
#[tokio::test]
async fn too_many_rejects_commit_nothing() {
    let engine = empty().await;
    let error = engine.ingest(request("lines.ndjson", LINES).max_rejects(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert_eq!(engine.snapshot().await.unwrap().version, 1);
    assert_eq!(number(&engine, "SELECT count(*) FROM system.rejected_events").await, 0);
    let summary = engine.ingest(request("lines.ndjson", LINES).max_rejects(6)).await.unwrap();
    assert_eq!(summary.rejected, 6);
}

// A shop that begins to send prices as text would stop the nightly job.
#[tokio::test]
async fn a_property_may_change_its_type() {
    let lines = br#"{"ts":1767225600,"event":"e","size":1}
{"ts":1767225601,"event":"e","size":"large"}
{"ts":1767225602,"event":"e","size":{"w":1,"h":[2]}}
"#;
    let engine = empty().await;
    let summary = ingest(&engine, "x.ndjson", lines).await;
    assert_eq!((summary.events_accepted, summary.rejected), (3, 0));
    let found = rows(&engine, "SELECT properties FROM events ORDER BY ts").await;
    assert_eq!(found[0][0], r#"{"size":1}"#);
    assert_eq!(found[2][0], r#"{"size":{"w":1,"h":[2]}}"#);
}

#[tokio::test]
async fn csv_records_of_the_wrong_length_are_rejected_alone() {
    let engine = empty().await;
    let text = "ts,event,amount\n2026-01-01,a,1\n2026-01-01,b\n2026-01-01,c,3,4\n2026-01-01,d,x\n";
    let summary = ingest(&engine, "x.csv", text).await;
    assert_eq!((summary.events_accepted, summary.rejected), (1, 3));
    let rejected = rows(&engine, REJECTED).await;
    let numbers: Vec<_> = rejected.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(numbers, ["3", "4", "5"]);
}

#[tokio::test]
async fn what_is_wrong_as_a_whole_is_an_error_that_says_what_to_do() {
    let engine = empty().await;
    for (name, bytes, wanted) in [
        ("a.json", "[{\"ts\":1}]", "JSON array"),
        ("a.txt", "a line\n", "--select"),
        ("a.csv", "time,name\n1,2\n", "no column ts"),
        ("a.csv", "ts,ts\n1,2\n", "two columns"),
        ("a", "words\n", "--format"),
    ] {
        let error = engine.ingest(request(name, bytes)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

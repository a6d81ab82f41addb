//! Any shape becomes events through a SELECT over the table `input`.

use crate::answers::{cell, empty, number, request, rows};
use crate::events_in_all_formats::{csv, parquet, sample};
use habitue::{ErrorKind, Format};

#[tokio::test]
async fn csv_columns_are_renamed_and_computed() {
    let engine = empty().await;
    let text = "when,who,net,tax\n2026-01-01 10:00,ada,10.00,1.90\n2026-01-02 10:00,bob,,\n";
    let select = "SELECT \"when\" AS ts, 'sale' AS event, who AS user_id, \
                  CAST(net AS DECIMAL(18,4)) + CAST(tax AS DECIMAL(18,4)) AS amount FROM input";
    let summary = engine.ingest(request("x.csv", text).select(select)).await.unwrap();
    assert_eq!(summary.events_accepted, 2);
    assert_eq!(cell(&engine, "SELECT sum(amount) FROM events").await, "11.9000");
}

#[tokio::test]
async fn lines_are_cut_by_functions() {
    let engine = empty().await;
    let text = "user date\nada 20260101\n\nbob 20260102\n";
    let select = "SELECT split_part(line, ' ', 2) AS ts, 'visit' AS event, \
                  split_part(line, ' ', 1) AS user_id FROM input WHERE line_number > 1";
    let request = request("visits.txt", text).select(select);
    assert_eq!(engine.ingest(request).await.unwrap().events_accepted, 2);
    let users = rows(&engine, "SELECT user_id, ts FROM events ORDER BY user_id").await;
    assert_eq!(users[1], ["bob", "2026-01-02T00:00:00Z"]);
}

#[tokio::test]
async fn nested_json_is_unnested() {
    let engine = empty().await;
    let text = r#"{"session":0,"events":[{"aid":1,"ts":1659304800025,"type":"clicks"},{"aid":2,"ts":1659304904511,"type":"carts"}]}
{"session":1,"events":[{"aid":1,"ts":1659304800025,"type":"clicks"}]}
{"session":"broken
"#;
    let select = "SELECT e['ts'] AS ts, e['type'] AS event, session AS anonymous_id, \
                  e['aid'] AS product_id FROM (SELECT session, unnest(events) AS e FROM input)";
    let summary = engine.ingest(request("otto.jsonl", text).select(select)).await.unwrap();
    assert_eq!((summary.events_accepted, summary.rejected), (3, 1));
    assert_eq!(number(&engine, "SELECT count(DISTINCT customer_id) FROM events").await, 2);
    let first = "SELECT ts FROM events WHERE product_id = '2'";
    assert_eq!(cell(&engine, first).await, "2022-07-31T22:01:44.511Z");
}

// Occurrence numbers of equal rows follow the order: another order would make new events.
#[tokio::test]
async fn the_same_select_again_adds_nothing_whatever_the_format() {
    let engine = empty().await;
    let select = "SELECT * FROM input WHERE event <> 'view'";
    let batch = sample(400);
    for (at, (name, bytes)) in
        [("a.csv", csv(&batch)), ("a.parquet", parquet(&batch))].into_iter().enumerate()
    {
        let summary = engine.ingest(request(name, bytes).select(select)).await.unwrap();
        let counts = (summary.events_accepted, summary.duplicates);
        assert_eq!(counts, if at == 0 { (280, 0) } else { (0, 280) }, "{name}");
    }
}

#[tokio::test]
async fn what_the_select_gives_is_checked_like_any_row() {
    let engine = empty().await;
    let text = "ts,event\n2026-01-01,a\nyesterday,b\n";
    let request = request("x.csv", text).select("SELECT ts, event FROM input");
    let summary = engine.ingest(request).await.unwrap();
    assert_eq!((summary.events_accepted, summary.rejected), (1, 1));
}

#[tokio::test]
async fn a_wrong_select_says_what_is_wrong_and_commits_nothing() {
    let engine = empty().await;
    for (select, wanted) in [
        ("SELECT ts, evnt AS event FROM input", "evnt"),
        ("SELECT ts FROM input", "no column event"),
        ("SELECT ts, event FROM inptu", "inptu"),
        ("DROP TABLE events", "DROP"),
        ("SELECT a.ts, b.event FROM input a, input b", "only once"),
        ("SELECT CAST(event AS INT) AS event, ts FROM input", "cast"),
    ] {
        let text = "ts,event\n2026-01-01,a\n";
        let answer = engine.ingest(request("x.csv", text).select(select)).await;
        let error = answer.expect_err(select);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{select}: {error}");
        let text = error.to_string();
        assert!(text.to_lowercase().contains(&wanted.to_lowercase()), "{select}: {text}");
    }
    assert_eq!(engine.snapshot().await.unwrap().version, 1);
}

#[tokio::test]
async fn any_text_can_be_read_as_lines() {
    let engine = empty().await;
    let text = "{\"t\":\"2026-01-01\",\"u\":\"ada\"}\n";
    let select = "SELECT json_get_str(line, 't') AS ts, 'x' AS event, \
                  json_get_str(line, 'u') AS user_id FROM input";
    let request = request("x.json", text).format(Format::Lines).select(select);
    assert_eq!(engine.ingest(request).await.unwrap().events_accepted, 1);
}

//! `properties` before and after a compaction, which gives members columns of their own.

use crate::small_shop::{empty_database, rows_of, table_of, value_of};
use habitue_sql::{LocalFiles, Session};
use habitue_storage::compaction::{CompactionDepth, CompactionOptions};

/// Most are made of the same members, in the same order and spacing; some are not.
const TEXTS: [&str; 16] = [
    r#"{"land":"AT","n":1,"tags":["a","b"]}"#,
    r#"{"land":"AT","n":2.50}"#,
    r#"{"land":"DE","n":1e3,"tags":[]}"#,
    r#"{"land":"DE","n":-0}"#,
    r#"{"land":"","n":null}"#,
    r#"{"land":null,"n":true}"#,
    r#"{"land":7}"#,
    r#"{"n":8}"#,
    r#"{"land":"q\"uoted","n":9}"#,
    r#"{"n":10,"land":"FR"}"#,
    r#"{"land": "CH", "n": 11}"#,
    r#"{"land":"IT","n":12,"other":true}"#,
    r#"{"land":"ES","land":"PT"}"#,
    r#"{"land":"NL","land":13}"#,
    r#"{}"#,
    r#" {"land":"BE"}"#,
];

async fn shop_of_texts() -> Session {
    let session = empty_database(LocalFiles::Refused).await.session();
    let row = |(place, text): (usize, &&str)| {
        format!("('e{place}', to_timestamp({place}), 'visit', 'u{}', '{text}')", place % 3)
    };
    let nothing = "('none', to_timestamp(99), 'visit', 'u1', NULL)".to_owned();
    let rows = TEXTS.iter().enumerate().map(row).chain([nothing]).collect::<Vec<_>>().join(", ");
    let columns = "(event_id, ts, event, user_id, properties)";
    rows_of(&session, &format!("INSERT INTO events {columns} VALUES {rows}")).await.unwrap();
    session
}

async fn compact(session: &Session) {
    let depth = CompactionDepth::Full;
    let options = CompactionOptions { depth, ..CompactionOptions::default() };
    session.database().store().compact(options, |_| {}).await.unwrap();
}

const QUESTIONS: [&str; 8] = [
    "SELECT event_id, properties FROM events ORDER BY ts",
    "SELECT event_id, properties->>'land' l FROM events ORDER BY ts",
    "SELECT event_id, properties->>'n' n, properties->>'absent' a FROM events ORDER BY ts",
    "SELECT event_id, properties->'tags' t, json_get_float(properties, 'n') n FROM events ORDER BY ts",
    "SELECT properties->>'land' l, count(*) FROM events GROUP BY 1 ORDER BY 1",
    "SELECT event_id FROM events WHERE (properties->>'land') = 'DE' ORDER BY 1",
    "SELECT event_id, properties FROM events WHERE (properties->>'n') > '2' ORDER BY 1",
    "SELECT count(*), count(properties), max(length(properties)) FROM events",
];

// If this fails, a compaction changes what people read.
#[tokio::test]
async fn a_compaction_changes_no_text_and_no_member() {
    let session = shop_of_texts().await;
    let mut before = Vec::new();
    for question in QUESTIONS {
        before.push(table_of(&session, question).await);
    }
    compact(&session).await;
    for walk in ["on", "off"] {
        rows_of(&session, &format!("SET habitue.customer_walk = {walk}")).await.unwrap();
        for (question, before) in QUESTIONS.iter().zip(&before) {
            assert_eq!(&table_of(&session, question).await, before, "{question}, walk {walk}");
        }
    }
    for (place, text) in TEXTS.iter().enumerate() {
        let question = format!("SELECT properties FROM events WHERE event_id = 'e{place}'");
        assert_eq!(&value_of(&session, &question).await, text);
    }
}

// If this fails, `properties` of new events and of compacted ones cannot be read together.
#[tokio::test]
async fn files_with_and_without_columns_of_members_are_read_together() {
    let session = shop_of_texts().await;
    compact(&session).await;
    let columns = "(event_id, ts, event, user_id, properties)";
    let row = r#"('late', to_timestamp(200), 'visit', 'u9', '{"land":"SE","n":77}')"#;
    rows_of(&session, &format!("INSERT INTO events {columns} VALUES {row}")).await.unwrap();
    for (question, answer) in [
        ("SELECT count(properties->>'land') FROM events", "14"),
        ("SELECT count(*) FROM events WHERE (properties->>'n') = '77'", "1"),
        ("SELECT properties FROM events WHERE event_id = 'late'", r#"{"land":"SE","n":77}"#),
    ] {
        assert_eq!(value_of(&session, question).await, answer, "{question}");
    }
    compact(&session).await;
    let question = "SELECT properties->>'land' FROM events WHERE event_id = 'late'";
    assert_eq!(value_of(&session, question).await, "SE");
}

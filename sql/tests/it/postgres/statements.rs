//! Questions and answers, by both protocols.

use crate::postgres::{Served, refusal_of};
use tokio_postgres::types::Type;

#[tokio::test]
async fn a_text_answers_its_statements_in_order() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let rows = shop.ask("SELECT 1 AS a; ; SELECT 'x;', NULL; SHOW timezone").await;
    let texts = rows.iter().map(|row| row.iter().map(|v| v.as_deref()).collect::<Vec<_>>());
    let expected = vec![vec![Some("1")], vec![Some("x;"), None], vec![Some("UTC")]];
    assert_eq!(texts.collect::<Vec<_>>(), expected);
    assert!(shop.ask("").await.is_empty());
    assert!(shop.ask("-- nothing\n;").await.is_empty());
}

#[tokio::test]
async fn columns_have_the_types_of_postgres() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let prepared = shop.client.prepare("SELECT * FROM events").await.unwrap();
    let type_of = |name: &str| {
        let column = prepared.columns().iter().find(|column| column.name() == name);
        column.unwrap_or_else(|| panic!("{name}")).type_().clone()
    };
    assert_eq!(type_of("event_id"), Type::TEXT);
    assert_eq!(type_of("ts"), Type::TIMESTAMPTZ);
    assert_eq!(type_of("amount"), Type::NUMERIC);
    assert_eq!(type_of("customer_id"), Type::INT8);
}

#[tokio::test]
async fn values_come_as_bytes_and_answers_go_as_bytes() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let sql = "SELECT event_id, customer_id FROM events WHERE event = $1 AND amount > $2::float8 \
               ORDER BY ts";
    let rows = shop.client.query(sql, &[&"purchase", &10.0_f64]).await.unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, ["e4", "e8"]);
    let customer: i64 = rows[0].get("customer_id");
    assert_eq!(customer, rows[1].get::<_, i64>(1));
    let none: Option<&str> = None;
    assert!(shop.client.query(sql, &[&none, &1.0_f64]).await.unwrap().is_empty());
    let row = shop.client.query_one("SELECT $1::bigint + 1, $2::boolean", &[&41_i64, &true]);
    let row = row.await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (42, true));
}

#[tokio::test]
async fn a_portal_is_read_in_portions() {
    let served = Served::open().await;
    let mut shop = served.connect().await;
    let transaction = shop.client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT event_id FROM events", &[]).await.unwrap();
    let mut portions = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 5).await.unwrap();
        portions.push(rows.len());
        if rows.len() < 5 {
            break;
        }
    }
    assert_eq!(portions, [5, 5, 2]);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn changes_say_what_they_did() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let insert = "INSERT INTO events (event_id, ts, event, user_id) VALUES ($1, $2, 'visit', 'u9')";
    let prepared = shop.client.prepare(insert).await.unwrap();
    assert!(prepared.columns().is_empty());
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&"n1", &"2026-05-01T00:00:00Z"];
    assert_eq!(shop.client.execute(&prepared, &values).await.unwrap(), 1);
    // Twice is once.
    assert_eq!(shop.client.execute(&prepared, &values).await.unwrap(), 0);
    assert_eq!(shop.value("SELECT count(*) FROM events").await, "13");
    shop.heard();
    shop.ask("CREATE SEGMENT buyers AS SELECT customer_id FROM events WHERE event = 'purchase'")
        .await;
    assert!(shop.heard().concat().contains("buyers"), "{:?}", shop.heard());
    let refreshed = shop.ask("REFRESH ALL SEGMENTS").await;
    assert_eq!(refreshed[0][0].as_deref(), Some("buyers"));
}

#[tokio::test]
async fn errors_have_a_code_and_a_place() {
    let served = Served::open().await;
    let shop = served.connect().await;
    for (sql, code, place) in [
        ("SELECT 1; SELECT amout FROM events", "42703", Some(18)),
        ("SELECT 'ü', amout FROM events", "42703", Some(13)),
        ("SELECT * FROM evnts", "42P01", Some(15)),
        ("SELEC 1", "42601", Some(1)),
        ("SELECT * FROM segment('vip')", "42704", Some(23)),
        ("SELECT 1 / 0", "22012", None),
        ("SELECT CAST('x' AS BIGINT)", "22P02", None),
        ("SET habitue.prunning = off", "42704", None),
    ] {
        let error = shop.client.simple_query(sql).await.unwrap_err();
        let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
        assert_eq!(told.code().code(), code, "{sql}: {told}");
        if let Some(place) = place {
            let expected = tokio_postgres::error::ErrorPosition::Original(place);
            assert_eq!(told.position(), Some(&expected), "{sql}: {told}");
        }
    }
    // The connection lives.
    assert_eq!(shop.value("SELECT 1").await, "1");
    let error = shop.client.prepare("SELECT amout FROM events").await.unwrap_err();
    assert!(refusal_of(&error).1.contains("did you mean 'amount'?"));
    assert_eq!(shop.client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i64>(0), 1);
}

// If this fails, somebody believes that a rollback took back what it did not.
#[tokio::test]
async fn a_rollback_says_that_it_takes_nothing_back() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let insert = "INSERT INTO events (event_id, ts, event) VALUES ('n1', '2026-05-01', 'visit')";
    shop.ask(&format!("BEGIN; {insert}; ROLLBACK")).await;
    assert!(shop.heard().concat().contains("nothing was taken back"));
    assert_eq!(shop.value("SELECT count(*) FROM events").await, "13");
    shop.ask("BEGIN; SELECT 1; ROLLBACK").await;
    assert!(!shop.heard().concat().contains("nothing was taken back"));
}

#[tokio::test]
async fn after_an_error_a_transaction_waits_for_its_end() {
    let served = Served::open().await;
    let shop = served.connect().await;
    shop.ask("BEGIN").await;
    assert_eq!(shop.refusal("SELECT nothing").await.0, "42703");
    assert_eq!(shop.refusal("SELECT 1").await.0, "25P02");
    shop.ask("ROLLBACK").await;
    assert_eq!(shop.value("SELECT 1").await, "1");
    shop.ask("BEGIN; SAVEPOINT a").await;
    assert_eq!(shop.refusal("SELECT nothing").await.0, "42703");
    shop.ask("ROLLBACK TO a; SELECT 1; RELEASE a; COMMIT").await;
}

// If this fails, one person's settings change another's answers.
#[tokio::test]
async fn settings_belong_to_one_connection() {
    let served = Served::open().await;
    let (one, other) = (served.connect().await, served.connect().await);
    one.ask("SET habitue.as_of_version = 2").await;
    one.ask("SET application_name = 'one'; SET statement_timeout = '5s'").await;
    one.ask("CREATE TABLE mine AS SELECT 1 AS a").await;
    assert_eq!(one.value("SELECT count(*) FROM events").await, "7");
    assert_eq!(other.value("SELECT count(*) FROM events").await, "12");
    assert_eq!(one.value("SHOW application_name").await, "one");
    assert_eq!(other.value("SHOW application_name").await, "");
    assert_eq!(other.value("SHOW statement_timeout").await, "0");
    assert_eq!(other.refusal("SELECT * FROM mine").await.0, "42P01");
    one.ask("RESET habitue.as_of_version").await;
    assert_eq!(one.value("SELECT count(*) FROM events").await, "12");
}

#[tokio::test]
async fn copy_and_several_statements_in_one_are_refused_in_words() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let (code, words) = shop.refusal("COPY events FROM STDIN").await;
    assert_eq!((code.as_str(), words.as_str()), ("0A000", "COPY is not supported here"));
    let error = shop.client.prepare("SELECT 1; SELECT 2").await.unwrap_err();
    assert!(refusal_of(&error).1.contains("several statements"));
    assert_eq!(shop.value("SELECT 1").await, "1");
}

#[tokio::test]
async fn many_connections_ask_at_once() {
    let served = Served::open().await;
    let connections = (0..16).map(|_| async {
        let shop = served.connect().await;
        for _ in 0..5 {
            assert_eq!(shop.value("SELECT count(*) FROM events").await, "12");
        }
    });
    futures::future::join_all(connections).await;
}

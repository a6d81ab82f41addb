//! What a person reads when a statement is wrong.

use crate::small_shop::{empty_database, error_of, rows_of, small_shop, value_of};
use habitue_sql::{ErrorKind, LocalFiles};

#[tokio::test]
async fn wrong_names_are_answered_with_the_right_ones() {
    let session = small_shop().await.session();
    rows_of(&session, "CREATE SEGMENT vip AS SELECT customer_id FROM events").await.unwrap();
    for (sql, expected) in [
        (
            "SELECT *\nFROM segment('vpi')",
            "segment 'vpi' does not exist; did you mean 'vip'? (line 2, column 14)",
        ),
        (
            "SELECT * FROM events WHERE in_segment(customer_id, 'vpi')",
            "segment 'vpi' does not exist; did you mean 'vip'? (line 1, column 52)",
        ),
        (
            "SELECT amout FROM events",
            "column 'amout' does not exist; did you mean 'amount'? (line 1, column 8)",
        ),
        (
            "SELECT * FROM event",
            "table 'event' does not exist; did you mean 'events'? (line 1, column 15)",
        ),
        (
            "SELECT * FROM system.comits",
            "table 'comits' does not exist; did you mean 'system.commits'? (line 1, column 22)",
        ),
        (
            "SELECT customerof('email', 'x')",
            "function 'customerof' does not exist; did you mean 'customer_of'? (line 1, column 8)",
        ),
        (
            "SELECT customer_of('mail', 'x')",
            "identifier namespace 'mail' does not exist; did you mean 'email'?",
        ),
        (
            "DROP SEGMENT vipp",
            "segment 'vipp' does not exist; did you mean 'vip'? (line 1, column 14)",
        ),
    ] {
        assert_eq!(error_of(&session, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn syntax_errors_name_their_place() {
    let session = small_shop().await.session();
    let error = error_of(&session, "SELECT 1\nFORM events").await;
    assert!(error.contains("line 2"), "{error}");
}

#[tokio::test]
async fn a_database_for_others_reads_no_local_files() {
    let session = small_shop().await.session();
    let file = format!("{}/Cargo.toml", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    for sql in [
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{file}'"),
        "COPY events TO '/tmp/habitue-must-not-exist.parquet'".to_owned(),
        format!("SELECT * FROM '{file}'"),
    ] {
        assert!(rows_of(&session, &sql).await.is_err(), "{sql}");
    }
    assert!(!std::path::Path::new("/tmp/habitue-must-not-exist.parquet").exists());
}

#[tokio::test]
async fn the_person_at_the_shell_reads_local_files() {
    let session = empty_database(LocalFiles::Allowed).await.session();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.csv");
    std::fs::write(&file, "name,n\nada,3\n").unwrap();
    let sql = format!("SELECT n FROM '{}'", file.display());
    assert_eq!(value_of(&session, &sql).await, "3");
}

// If this fails, a generated statement kills the process instead of being answered or refused.
#[tokio::test(flavor = "multi_thread")]
async fn deep_expressions_are_answered_or_refused() {
    let session = small_shop().await.session();
    let sum = |terms| format!("SELECT {}", vec!["1"; terms].join(" + "));
    let or = |terms: i64| {
        let terms = (0..terms).map(|n| format!("amount = {n}")).collect::<Vec<_>>().join(" OR ");
        format!("SELECT count(*) FROM events WHERE {terms}")
    };
    let unions = |terms| vec!["SELECT 1"; terms].join(" UNION ALL ");
    let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    for (sql, is_answered) in [
        (sum(100), true),
        (or(499), true),
        (unions(500), true),
        (sum(102), false),
        (sum(10_000), false),
        (or(10_000), false),
        (unions(10_000), false),
        (nested, false),
    ] {
        let start = sql.chars().take(40).collect::<String>();
        let session = session.clone();
        let task = tokio::spawn(async move { rows_of(&session, &sql).await });
        let answer = task.await.expect("the statement must not take the task down");
        assert_eq!(answer.is_ok(), is_answered, "{start}: {:?}", answer.err());
    }
}

#[tokio::test]
async fn too_little_memory_is_an_error_that_says_so() {
    use habitue_sql::{Database, DatabaseOptions};
    let database = small_shop().await;
    let options = DatabaseOptions { memory_bytes_max: 1 << 10, ..database.options().clone() };
    let session = Database::new(database.store().clone(), options).unwrap().session();
    let sql = "SELECT event_id, count(*) FROM events CROSS JOIN generate_series(1, 100000) GROUP BY 1, value";
    let error = rows_of(&session, sql).await.unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

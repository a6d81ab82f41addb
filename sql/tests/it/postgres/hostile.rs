//! What a connection must never do to its server.

use crate::postgres::{Connected, Served};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

// If this fails, whoever may ask a question reads the server's files, or writes them.
#[tokio::test]
async fn no_file_of_the_server_is_in_reach() {
    let served = Served::with_users().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.csv");
    std::fs::write(&path, "a\nsecret\n").unwrap();
    let (file, folder_text) = (path.display(), folder.path().display());
    let attempts = [
        format!("SELECT * FROM '{file}'"),
        format!("SELECT * FROM \"{file}\""),
        format!("SELECT * FROM \"file://{file}\""),
        format!("SELECT * FROM '{folder_text}/'"),
        "SELECT * FROM 's3://bucket/x.parquet'".to_owned(),
        "SELECT * FROM 'https://example.com/x.csv'".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{file}'"),
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://bucket/x/'".to_owned(),
        format!("CREATE UNBOUNDED EXTERNAL TABLE t (a TEXT) STORED AS CSV LOCATION '{file}'"),
        format!("COPY (SELECT 1) TO '{folder_text}/out.csv'"),
        format!("COPY events TO '{folder_text}/out.parquet' STORED AS PARQUET"),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder_text}/out.csv'"),
        format!("COPY events FROM '{file}'"),
        "COPY events FROM PROGRAM 'id'".to_owned(),
        format!("CREATE TABLE t AS SELECT * FROM '{file}'"),
        format!("CREATE VIEW v AS SELECT * FROM '{file}'; SELECT * FROM v"),
        format!("INSERT INTO '{file}' VALUES ('x')"),
        format!("CREATE SEGMENT s AS SELECT * FROM '{file}'"),
        format!("SELECT pg_read_file('{file}')"),
        format!("SELECT * FROM read_csv('{file}')"),
        format!("SELECT * FROM read_parquet('{file}')"),
        format!("SELECT lo_import('{file}')"),
        format!("SET datafusion.runtime.temp_directory = '{folder_text}'"),
        "SET datafusion.runtime.memory_limit = '100G'".to_owned(),
        "RESET datafusion.runtime.memory_limit".to_owned(),
        format!("LOAD '{file}'"),
        format!("CREATE FUNCTION f AS '{file}'"),
        "SET ROLE admin".to_owned(),
        "SET SESSION AUTHORIZATION ada".to_owned(),
    ];
    for user in ["rita", "ada"] {
        let shop = served.connect_as(user).await;
        for sql in &attempts {
            let simple = shop.client.simple_query(sql).await;
            assert!(simple.is_err(), "{user} did {sql}: {simple:?}");
            let single = sql.split("; ").next().unwrap();
            let extended = match shop.client.prepare(single).await {
                Ok(prepared) => shop.client.query(&prepared, &[]).await.map(|_| ()),
                Err(error) => Err(error),
            };
            let only_planned = single != sql;
            assert!(only_planned || extended.is_err(), "{user} did {sql} prepared");
        }
        assert_eq!(shop.value("SELECT count(*) FROM events").await, "12");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nsecret\n");
}

/// Texts that are nested or chained thousands deep.
fn deep() -> Vec<(&'static str, String)> {
    let nested = |begin: &str, middle: &str, end: &str, depth: usize| {
        format!("{}{middle}{}", begin.repeat(depth), end.repeat(depth))
    };
    let select = |what: String| format!("SELECT {what}");
    vec![
        ("sum", select(vec!["1"; 10_000].join("+"))),
        ("sum of a catalog", select(vec!["pg_backend_pid()"; 10_000].join("+"))),
        ("or", format!("SELECT 1 WHERE {}", vec!["1=1"; 10_000].join(" OR "))),
        ("catalog or", {
            let chain = vec!["oid = 1"; 999].join(" OR ");
            format!("SELECT count(*) FROM pg_class WHERE {chain}")
        }),
        ("parentheses", select(nested("(", "1", ")", 5_000))),
        ("catalog parentheses", select(nested("(", "pg_backend_pid()", ")", 5_000))),
        ("subqueries", nested("SELECT * FROM (", "SELECT 1", ") AS a", 3_000)),
        ("scalar subqueries", nested("SELECT (", "SELECT 1", ")", 3_000)),
        ("cases", select(nested("CASE WHEN true THEN ", "1", " END", 3_000))),
        ("functions", select(nested("abs(", "1", ")", 3_000))),
        ("arrays", select(nested("[", "1", "]", 3_000))),
        ("not", select(nested("NOT ", "true", "", 3_000))),
        ("minus", select(nested("- ", "1", "", 3_000))),
        ("casts", select(nested("", "1", "::bigint", 10_000))),
        ("concatenations", select(vec!["'a'"; 10_000].join(" || "))),
        ("unions", vec!["SELECT 1"; 5_000].join(" UNION ALL ")),
        ("withs", nested("WITH a AS (", "SELECT 1", ") SELECT * FROM a", 2_000)),
        ("subscripts", select(nested("", "[1]", "[1]", 5_000))),
        ("members", select(nested("", "a", ".b", 10_000))),
    ]
}

/// Answers or is refused; either way the server lives.
async fn survives(served: &Served, shop: &Connected, name: &str, sql: &str) {
    let patience = Duration::from_secs(120);
    let asked = tokio::time::timeout(patience, shop.client.simple_query(sql)).await;
    let asked = asked.unwrap_or_else(|_| panic!("{name} takes for ever"));
    if let Err(error) = asked {
        assert!(error.as_db_error().is_some(), "{name}: {error}");
    }
    let prepared = tokio::time::timeout(patience, shop.client.prepare(sql)).await;
    let prepared = prepared.unwrap_or_else(|_| panic!("{name} takes for ever to prepare"));
    if let Err(error) = prepared {
        assert!(error.as_db_error().is_some(), "{name}: {error}");
    }
    assert_eq!(served.connect().await.value("SELECT 1").await, "1", "{name}");
}

// If this fails, one text ends the server for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_sql_is_an_error_and_no_end() {
    let served = Served::open().await;
    let shop = served.connect().await;
    for (name, sql) in deep() {
        survives(&served, &shop, name, &sql).await;
    }
}

#[tokio::test]
async fn ten_thousand_sums_are_refused_in_words() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let sql = format!("SELECT {}", vec!["1"; 10_000].join("+"));
    let (_, words) = shop.refusal(&sql).await;
    assert!(words.contains("more than 100 operators"), "{words}");
    let error = shop.client.prepare(&sql).await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("more than 100 operators"));
}

// If this fails, bytes that are no Postgres end the server.
#[tokio::test]
async fn bytes_that_mean_nothing_end_their_connection_only() {
    let served = Served::open().await;
    let startup = b"\0\0\0\x12\x00\x03\x00\x00user\0ada\0\0";
    let broken: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0, 0, 0, 4],
        vec![0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5],
        [&startup[..], b"B\0\0\0\x0c\0\0\xff\xff\0\0\0\0"].concat(),
        [&startup[..], b"P\0\0\0\x08\0\0\xff\xff"].concat(),
        [&startup[..], b"Q\x7f\xff\xff\xff"].concat(),
        [&startup[..], b"Q\0\0\0\x05\xff"].concat(),
        [&startup[..], b"E\0\0\0\x09\0\xff\xff\xff\xff"].concat(),
        [&startup[..], b"F\0\0\0\x04", b"X\0\0\0\x04"].concat(),
    ];
    for bytes in broken {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
        assert_eq!(served.connect().await.value("SELECT 1").await, "1", "{bytes:?}");
    }
}

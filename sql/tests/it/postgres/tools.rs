//! What tools ask Postgres's catalog, as they write it. Breaks for a user if this fails: a tool shows
//! no tables or columns, or an error before the first question is asked.

use crate::postgres::Served;
use std::path::PathBuf;

/// Every question of `tests/postgres_tools/*.sql`: `-- name` and the text up to the next name.
fn questions() -> Vec<(String, String)> {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("tests/postgres_tools"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let mut found: Vec<(String, String)> = Vec::new();
    for file in files {
        let tool = file.file_stem().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            match line.strip_prefix("-- ") {
                Some(name) => found.push((format!("{tool}: {name}"), String::new())),
                None => found.last_mut().unwrap().1.push_str(&format!("{line}\n")),
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_of_tools_are_answered() {
    let served = Served::open().await;
    let shop = served.connect().await;
    let oid = shop.value("SELECT oid FROM pg_class WHERE relname = 'events'").await;
    let mut failures = Vec::new();
    let questions = questions();
    for (name, text) in &questions {
        let text = text.replace(":OID", &oid);
        if let Err(error) = shop.client.simple_query(&text).await {
            let told = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
            failures.push(format!("{name}: {told}"));
        }
    }
    assert!(failures.is_empty(), "of {}:\n{}", questions.len(), failures.join("\n"));
}

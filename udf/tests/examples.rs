//! Every SQL example in the module headers is run, and must print the table that stands there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

struct Example {
    place: String,
    sql: String,
    table: String,
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The query is what stands before the table in a block marked as SQL.
fn examples_of(path: &Path) -> Vec<Example> {
    let source = fs::read_to_string(path).unwrap();
    let header = source.lines().map_while(|line| line.strip_prefix("//!"));
    let header: Vec<&str> = header.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let text = header.join("\n");
    let blocks = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let example = |block: &str| {
        let is_table = |line: &&str| line.starts_with(['+', '|']);
        let lines = |wanted| block.lines().filter(move |line| is_table(line) == wanted);
        Example {
            place: path.display().to_string(),
            sql: lines(false).collect::<Vec<_>>().join("\n"),
            table: lines(true).collect::<Vec<_>>().join("\n"),
        }
    };
    blocks.map(example).collect()
}

/// A reader who copies an example from the documentation must see what it promises.
#[tokio::test]
async fn examples_in_headers_print_their_tables() {
    let mut files = Vec::new();
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    rust_files(&Path::new(&crate_folder).join("src"), &mut files);
    let examples: Vec<Example> = files.iter().flat_map(|path| examples_of(path)).collect();
    assert!(examples.len() >= 9, "found {} examples", examples.len());
    let context = SessionContext::new();
    habitue_udf::register_all(&context).unwrap();
    for Example { place, sql, table } in examples {
        let answer = context.sql(&sql).await;
        let batches = match answer {
            Ok(plan) => plan.collect().await,
            Err(error) => Err(error),
        };
        let batches = batches.unwrap_or_else(|error| panic!("{place}: {error}"));
        let printed = pretty_format_batches(&batches).unwrap().to_string();
        assert_eq!(printed, table, "{place}");
    }
}

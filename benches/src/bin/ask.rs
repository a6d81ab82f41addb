//! Asks one database questions in one process and tells how long each took: how the comparison with
//! other engines measures Habitué.
//!
//! ```sh
//! echo '{"name":"events","sql":"SELECT count(*) FROM events","runs":5}' | ask DB 2 9000000000
//! ```
//!
//! Reads one JSON object per line and writes one: the name, the milliseconds of each run, and the
//! rows as text. The answer of every run is computed to its last row.

use habitue::arrow::array::RecordBatch;
use habitue::arrow::util::display::{ArrayFormatter, FormatOptions};
use habitue::{Engine, LocalFiles};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

#[derive(Deserialize)]
struct Question {
    name: String,
    sql: String,
    runs: usize,
}

#[derive(Serialize)]
struct Told {
    name: String,
    milliseconds: Vec<f64>,
    rows: Vec<Vec<Option<String>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: ask DB THREADS MEMORY_BYTES < questions.ndjson";
    let (Some(url), Some(threads), Some(memory)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(usage.into());
    };
    let engine = Engine::builder()
        .threads(threads.parse()?)
        .memory_limit(memory.parse()?)
        .local_files(LocalFiles::Allowed)
        .open(&url)
        .await?;
    for line in std::io::stdin().lock().lines() {
        let told = ask(&engine, serde_json::from_str(&line?)?).await?;
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &told)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

async fn ask(engine: &Engine, question: Question) -> habitue::Result<Told> {
    let mut milliseconds = Vec::with_capacity(question.runs);
    let mut answer = Vec::new();
    for _ in 0..question.runs.max(1) {
        let start = Instant::now();
        answer = engine.sql_all(&question.sql).await?;
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Told { name: question.name, milliseconds, rows: rows_of(&answer)? })
}

/// The rows as text; NULL is none.
fn rows_of(batches: &[RecordBatch]) -> habitue::Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let columns = columns.map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().zip(batch.columns());
            rows.push(
                cells
                    .map(|(text, column)| column.is_valid(row).then(|| text.value(row).to_string()))
                    .collect(),
            );
        }
    }
    Ok(rows)
}

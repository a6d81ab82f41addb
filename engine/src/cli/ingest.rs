//! `habitue ingest`: take in events from files or standard input.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::machine::Machine;
use crate::cli::progress::Progress;
use crate::cli::quantity::{bytes, counted, duration, grouped, per_second};
use crate::cli::say;
use arrow::array::{AsArray, RecordBatch};
use habitue::{DuplicateRow, Engine, Format, IngestRequest, IngestSummary, Input};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// So many reasons of rejected rows are shown.
const REASONS_SHOWN: usize = 5;

/// The arguments of `habitue ingest`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each input becomes one commit: all of it, or nothing. The same input again changes nothing.

Examples:
  habitue ingest shop events.ndjson
  zcat log.gz | habitue ingest shop - --format ndjson --source weblog
  habitue ingest shop orders.csv --select \\
      \"SELECT order_date AS ts, 'purchase' AS event, customer AS user_id, \\
              total AS amount, order_no AS order_id FROM input\"")]
pub(crate) struct Arguments {
    /// The database
    #[arg(value_name = "DB")]
    database: String,
    /// Files of events; - is standard input. NDJSON, Segment-spec NDJSON, CSV, Parquet and Arrow
    /// IPC, also as .gz or .zst, are told apart by themselves
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// The format, instead of finding it out: ndjson, segment, csv, lines, parquet or arrow
    #[arg(long)]
    format: Option<Format>,
    /// Bring any other shape into the columns of events: a SELECT over the table `input`
    #[arg(long, value_name = "SQL", conflicts_with = "select_file")]
    select: Option<String>,
    /// The same from a file
    #[arg(long, value_name = "FILE")]
    select_file: Option<PathBuf>,
    /// Stop, and commit nothing, when more rows than this cannot be understood
    #[arg(long, value_name = "N")]
    max_rejects: Option<u64>,
    /// What becomes of equal rows that have no event_id
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    on_duplicate_row: OnDuplicateRow,
    /// What system.rejected_events calls the input [default: the file's name]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Print the summary as one JSON object per input
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnDuplicateRow {
    /// Each is an event of its own
    Keep,
    /// Only the first is an event
    Drop,
}

/// Ingests the inputs one after the other, and says what became of them.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let select = arguments.read_select()?;
    let engine = arguments.machine.builder().open(&arguments.database).await?;
    for file in &arguments.files {
        let input = Input::from_argument(file);
        let source = arguments.source.clone().unwrap_or_else(|| input.name());
        let progress = Progress::on_terminal(&source);
        let shown = progress.clone();
        let request = arguments.request(input, &source, select.as_deref());
        let request = request.on_progress(move |progress| shown.show(progress));
        let started = Instant::now();
        let summary = engine.ingest(request).await;
        progress.clear();
        let done = Done { source: &source, summary: summary?, time: started.elapsed() };
        if arguments.json {
            say(&format!("{}\n", done.json()))?;
        } else {
            say(&done.text(&first_reasons(&engine, &done).await?))?;
        }
    }
    Ok(())
}

impl Arguments {
    fn read_select(&self) -> Outcome<Option<String>> {
        let Some(path) = &self.select_file else { return Ok(self.select.clone()) };
        let read = std::fs::read_to_string(path);
        let doing = format!("read file. path={}", path.display());
        Ok(Some(read.map_err(|error| Failure::io(&doing, &error))?))
    }

    fn request(&self, input: Input, source: &str, select: Option<&str>) -> IngestRequest {
        let on_duplicate_row = match self.on_duplicate_row {
            OnDuplicateRow::Keep => DuplicateRow::Keep,
            OnDuplicateRow::Drop => DuplicateRow::Drop,
        };
        let mut request =
            IngestRequest::new(input).source(source).on_duplicate_row(on_duplicate_row);
        if let Some(format) = self.format {
            request = request.format(format);
        }
        if let Some(select) = select {
            // The parser takes one query without its end.
            request = request.select(select.trim().trim_end_matches(';'));
        }
        if let Some(rows) = self.max_rejects {
            request = request.max_rejects(rows);
        }
        request
    }
}

/// What became of one input.
pub(crate) struct Done<'a> {
    /// What it is called.
    pub(crate) source: &'a str,
    /// The store's words.
    pub(crate) summary: IngestSummary,
    /// How long it took.
    pub(crate) time: Duration,
}

impl Done<'_> {
    /// For people.
    pub(crate) fn text(&self, reasons: &[String]) -> String {
        let summary = &self.summary;
        let rows = summary.events_accepted + summary.duplicates + summary.rejected;
        let mut text = format!(
            "{}: {} accepted in {} ({} rows per second)\n",
            self.source,
            counted(summary.events_accepted, "event"),
            duration(self.time),
            grouped(per_second(rows, self.time)),
        );
        if summary.duplicates > 0 {
            let duplicates = counted(summary.duplicates, "duplicate");
            text.push_str(&format!("  {duplicates} left out\n"));
        }
        if summary.rejected > 0 {
            let rejected = counted(summary.rejected, "row");
            text.push_str(&format!("  {rejected} rejected, see system.rejected_events:\n"));
            for reason in reasons {
                text.push_str(&format!("    {reason}\n"));
            }
        }
        let Some(version) = summary.version else {
            return text + "  nothing changed\n";
        };
        text.push_str(&format!(
            "  {} new, {}\n",
            counted(summary.identifiers_new, "identifier"),
            customers(summary.customers_new),
        ));
        text.push_str(&format!(
            "  version {version}, {}, {}\n",
            counted(summary.data_files, "data file"),
            bytes(summary.bytes_written),
        ));
        text
    }

    /// For programs.
    fn json(&self) -> serde_json::Value {
        let summary = &self.summary;
        json!({
            "source": self.source,
            "version": summary.version,
            "events_accepted": summary.events_accepted,
            "duplicates": summary.duplicates,
            "rejected": summary.rejected,
            "identifiers_new": summary.identifiers_new,
            "customers_new": summary.customers_new,
            "data_files": summary.data_files,
            "bytes_written": summary.bytes_written,
            "seconds": self.time.as_secs_f64(),
        })
    }
}

/// Merged customers are fewer: links between known identifiers join them.
fn customers(new: i64) -> String {
    let number = counted(new.unsigned_abs(), "customer");
    if new < 0 { format!("{number} fewer (they merged)") } else { format!("{number} new") }
}

/// The first reasons of rejected rows, newest ingest first.
pub(crate) async fn first_reasons(engine: &Engine, done: &Done<'_>) -> Outcome<Vec<String>> {
    if done.summary.rejected == 0 {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT arrow_cast(\"row\", 'Utf8') AS \"row\", reason FROM system.rejected_events \
         WHERE source = '{}' ORDER BY rejected_at DESC, \"row\" LIMIT {REASONS_SHOWN}",
        done.source.replace('\'', "''")
    );
    let batches = engine.sql_all(&sql).await?;
    let mut reasons: Vec<_> = batches.iter().flat_map(reasons_of).collect();
    let more = done.summary.rejected.saturating_sub(reasons.len() as u64);
    if more > 0 {
        reasons.push(format!("… {} more", grouped(more)));
    }
    Ok(reasons)
}

fn reasons_of(batch: &RecordBatch) -> Vec<String> {
    let rows = batch.column(0).as_string_opt::<i32>();
    let reasons = batch.column(1).as_string_opt::<i32>();
    let (Some(rows), Some(reasons)) = (rows, reasons) else { return Vec::new() };
    let pairs = rows.iter().zip(reasons.iter());
    pairs
        .map(|(row, reason)| {
            format!("row {}: {}", row.unwrap_or_default(), reason.unwrap_or_default())
        })
        .collect()
}

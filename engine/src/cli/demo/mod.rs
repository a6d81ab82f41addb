//! `habitue demo`: a year of a shop's events, taken in, stitched, segmented and reported.

mod folder;
mod questions;
mod report;

use crate::cli::demo::folder::DemoFolder;
use crate::cli::demo::report::Report;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::ingest::{Done, first_reasons};
use crate::cli::machine::Machine;
use crate::cli::progress::Progress;
use crate::cli::quantity::{bytes, counted};
use crate::cli::say;
use habitue::{Engine, IngestRequest, Input, MaintainRequest};
use habitue_testdata::{Row, Shop, ShopOptions, Tally};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The arguments of `habitue demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the events and the database are put; an earlier demo there is replaced
    #[arg(long, value_name = "DIR", default_value = "habitue-demo")]
    dir: PathBuf,
    /// How many people visit the shop
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    customers: u32,
    /// Keep the database of an earlier demo, and only ask the questions again
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Makes the events and the database, and reports.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let folder = DemoFolder::new(&arguments.dir);
    let mut report = Report::default();
    let engine = if arguments.keep && folder.has_database() {
        arguments.machine.builder().open(&folder.database()).await?
    } else {
        folder.make_anew()?;
        make_events(&folder.events(), arguments.customers, &mut report)?;
        let engine = arguments.machine.builder().create(&folder.database()).await?;
        take_in(&engine, &folder, &mut report).await?;
        report.segments(&engine).await?;
        engine
    };
    report.answers(&engine).await?;
    report.farewell(&folder)
}

/// Writes the year's events as NDJSON, broken rows and all.
fn make_events(path: &Path, customers: u32, report: &mut Report) -> Outcome {
    let options = ShopOptions { customers, ..ShopOptions::default() };
    let started = Instant::now();
    let doing = format!("write file. path={}", path.display());
    let failed = |error| Failure::io(&doing, &error);
    let mut tally = Tally::default();
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    for row in Shop::new(options) {
        tally.observe(&row);
        let line = match row {
            Row::Event(event) | Row::Duplicate(event) => habitue_testdata::lines::line(&event),
            Row::Bad(bad) => bad.line,
        };
        writeln!(file, "{line}").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    let length = std::fs::metadata(path).map_or(0, |facts| facts.len());
    report.timed("events made", started.elapsed());
    report.title("A year of a coffee shop")?;
    say(&format!(
        "{} visit it in 2025: {}, {} of NDJSON in {}.\n\
         They come anonymously, sign up, use several devices, share tablets, return things.\n\
         {} arrive twice, {} arrive late, {} are broken.\n",
        counted(u64::from(customers), "person").replace("persons", "people"),
        counted(tally.events, "event"),
        bytes(length),
        path.display(),
        counted(tally.duplicates, "event"),
        counted(tally.late, "event"),
        counted(tally.rejected(), "row"),
    ))
}

/// Ingests the file as anybody's file, and compacts what came of it.
async fn take_in(engine: &Engine, folder: &DemoFolder, report: &mut Report) -> Outcome {
    let events = folder.events();
    let progress = Progress::on_terminal("ingest");
    let shown = progress.clone();
    let request = IngestRequest::new(Input::from(events.as_path()))
        .on_progress(move |progress| shown.show(progress));
    let started = Instant::now();
    let summary = engine.ingest(request).await;
    progress.clear();
    let time = started.elapsed();
    report.timed("ingested", time);
    report.title("What came in")?;
    report.command(&folder.ingest_command())?;
    let done = Done { source: "events.ndjson", summary: summary?, time };
    say(&done.text(&first_reasons(engine, &done).await?))?;
    let started = Instant::now();
    engine.maintain(MaintainRequest::default()).await?;
    report.timed("compacted", started.elapsed());
    Ok(())
}

//! `habitue verify`: read everything back and check it.

use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::quantity::{bytes, counted};
use crate::cli::say;
use habitue::Engine;

/// The arguments of `habitue verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every object that a readable version names is read: its length, its checksum, and whether what it
refers to is there. Exit code 3 when anything is wrong.")]
pub(crate) struct Arguments {
    /// The database
    #[arg(value_name = "DB")]
    database: String,
}

/// Checks the database and prints what was found.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let engine = Engine::open(&arguments.database).await?;
    let report = engine.verify().await?;
    let mut text = format!(
        "checked versions {} to {}: {}, {}\n",
        report.oldest_version,
        report.newest_version,
        counted(report.objects, "object"),
        bytes(report.bytes)
    );
    if !report.orphans.is_empty() {
        let orphans = counted(report.orphans.len() as u64, "object");
        text.push_str(&format!("{orphans} that no version needs: `habitue maintain` clears up\n"));
    }
    for problem in &report.problems {
        text.push_str(&format!("  {}: {}\n", problem.path, problem.what));
    }
    if report.is_clean() {
        return say(&(text + "no problems found\n"));
    }
    say(&text)?;
    let count = counted(report.problems.len() as u64, "problem");
    let failure = Failure { exit: Exit::Damaged, ..Failure::request(format!("found {count}")) };
    Err(failure.with_advice("stop writing, and restore the named objects from a backup"))
}

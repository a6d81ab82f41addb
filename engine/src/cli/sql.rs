//! `habitue sql`: questions from the command line, from a file, from a pipe, or in a shell.

use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::machine::Machine;
use crate::cli::output::Format;
use crate::cli::shell::Shell;
use crate::cli::shell::printer::{Printer, Timer};
use crate::cli::shell::statements::statements;
use habitue_sql::Session;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// The arguments of `habitue sql`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  habitue sql shop
  habitue sql shop -c 'SELECT event, count(*) FROM events GROUP BY event'
  habitue sql shop -f questions.sql --format markdown
  habitue sql -c \"SELECT * FROM 'orders.parquet' LIMIT 5\"")]
pub(crate) struct Arguments {
    /// The database; without one, an empty database in memory
    #[arg(value_name = "DB")]
    database: Option<String>,
    /// Run these statements and leave; may be given several times
    #[arg(short = 'c', long = "command", value_name = "SQL", conflicts_with = "file")]
    commands: Vec<String>,
    /// Run the statements of a file and leave; - is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How answers are written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    #[command(flatten)]
    machine: Machine,
}

/// Runs what was asked; without anything to run and with a person at the terminal, the shell.
pub(crate) fn run(arguments: &Arguments, runtime: &Runtime) -> Outcome {
    let place = arguments.database.as_deref().unwrap_or("memory://");
    let engine = runtime.block_on(arguments.machine.builder().open(place))?;
    let session = engine.session();
    let script = match &arguments.file {
        Some(path) if path.as_os_str() == "-" => Some(standard_input()?),
        Some(path) => Some(read(path)?),
        None if !arguments.commands.is_empty() => Some(arguments.commands.join(";\n")),
        None if !stdin().is_terminal() => Some(standard_input()?),
        None => None,
    };
    let Some(script) = script else {
        let printer = Printer::new(arguments.format, Timer::On);
        return Shell::new(session, printer, runtime, arguments.database.as_deref()).run();
    };
    let mut printer = Printer::new(arguments.format, Timer::Off);
    runtime.block_on(run_script(&session, &mut printer, &script))
}

/// Runs all statements of a text; the first that fails ends it.
pub(crate) async fn run_script(session: &Session, printer: &mut Printer, text: &str) -> Outcome {
    let statements = statements(text);
    for (place, statement) in statements.iter().enumerate() {
        let outcome = printer.run(session, statement).await;
        outcome.map_err(|failure| {
            if statements.len() == 1 || failure.exit == Exit::Quiet {
                return failure;
            }
            let message = format!("in statement {}: {}", place + 1, failure.message);
            Failure { message, ..failure }
        })?;
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<String> {
    let doing = format!("read file. path={}", path.display());
    std::fs::read_to_string(path).map_err(|error| Failure::io(&doing, &error))
}

fn standard_input() -> Outcome<String> {
    let mut text = String::new();
    let read = stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::io("read the standard input", &error))?;
    Ok(text)
}

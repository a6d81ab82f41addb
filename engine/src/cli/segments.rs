//! `habitue segments`: list the segments, or compute them anew.

use crate::cli::failure::Outcome;
use crate::cli::machine::Machine;
use crate::cli::output::Format;
use crate::cli::shell::printer::{Printer, Timer};

/// The arguments of `habitue segments`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Segments are made in SQL: CREATE SEGMENT vip AS SELECT customer_id FROM …

Examples:
  habitue segments shop
  habitue segments shop refresh
  habitue segments shop refresh vip")]
pub(crate) struct Arguments {
    /// The database
    #[arg(value_name = "DB")]
    database: String,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "table", global = true)]
    format: Format,
    #[command(flatten)]
    machine: Machine,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Compute one segment, or all in the order in which they use each other
    Refresh {
        /// The segment; all when left out
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// Runs the statement that says the same.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let engine = arguments.machine.builder().open(&arguments.database).await?;
    let statement = match arguments.action {
        None => "SHOW SEGMENTS".to_owned(),
        Some(Action::Refresh { name: None }) => "REFRESH ALL SEGMENTS".to_owned(),
        Some(Action::Refresh { name: Some(name) }) => {
            format!("REFRESH SEGMENT \"{}\"", name.replace('"', "\"\""))
        }
    };
    Printer::new(arguments.format, Timer::Off).run(&engine.session(), &statement).await
}

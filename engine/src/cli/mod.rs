//! The `habitue` command: one file per subcommand, and what they share.

mod age;
mod demo;
mod expiry;
mod failure;
mod ingest;
mod init;
mod machine;
mod maintain;
mod namespace_rule;
mod output;
mod progress;
mod quantity;
mod segments;
#[cfg(all(feature = "flight", feature = "postgres"))]
mod serve;
mod shell;
mod size;
mod sql;
mod terminal;
mod token;
mod user;
mod verify;

use crate::cli::failure::{Failure, Outcome};
use clap::{Parser, Subcommand};
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the request cannot be fulfilled as it is: change it
  2    the command line is wrong
  3    the database is damaged, or `verify` found problems
  4    another writer was faster, or the store did not answer: run it again
  5    a defect of habitue: please report it
  130  interrupted by Ctrl-C";

/// Customer events in, customers and segments out, answers in SQL.
#[derive(Debug, Parser)]
#[command(name = "habitue", version, about, after_help = EXIT_CODES, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an empty database
    Init(init::Arguments),
    /// Take in events from files or standard input
    Ingest(ingest::Arguments),
    /// Ask questions in SQL: one, a file of them, or in a shell
    Sql(sql::Arguments),
    /// List the segments, or compute them anew
    Segments(segments::Arguments),
    /// Answer BI tools over Arrow Flight SQL and the Postgres protocol
    #[cfg(all(feature = "flight", feature = "postgres"))]
    Serve(serve::Arguments),
    /// Say who may log in to a server with a password
    User(user::Arguments),
    /// Say who may connect to a server with a token
    Token(token::Arguments),
    /// Compact data files, forget old versions, delete what nothing needs
    Maintain(maintain::Arguments),
    /// Read everything back and check it
    Verify(verify::Arguments),
    /// See it work: a year of a shop's events, segments and a report
    Demo(demo::Arguments),
}

/// Runs the command line and answers the exit code.
pub(crate) fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    match run(command_line.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed error stream leaves nobody to tell.
            let _ = stderr().write_all(failure.text().as_bytes());
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("start threads", &error))?;
    let outcome = match command {
        Command::Sql(arguments) => sql::run(&arguments, &runtime),
        Command::Init(arguments) => runtime.block_on(until_interrupted(init::run(arguments))),
        Command::Ingest(arguments) => runtime.block_on(until_interrupted(ingest::run(arguments))),
        Command::Segments(arguments) => {
            runtime.block_on(until_interrupted(segments::run(arguments)))
        }
        #[cfg(all(feature = "flight", feature = "postgres"))]
        Command::Serve(arguments) => runtime.block_on(serve::run(arguments)),
        Command::User(arguments) => user::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Maintain(arguments) => {
            runtime.block_on(until_interrupted(maintain::run(arguments)))
        }
        Command::Verify(arguments) => runtime.block_on(until_interrupted(verify::run(arguments))),
        Command::Demo(arguments) => runtime.block_on(until_interrupted(demo::run(arguments))),
    };
    // Work on other threads may wait for input that never comes.
    runtime.shutdown_background();
    outcome
}

/// Ctrl-C drops the work, which leaves nothing half done: a commit happens at once or not at all.
async fn until_interrupted(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = work => outcome,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.map_err(|error| Failure::io("listen for Ctrl-C", &error))?;
            Err(Failure::interrupted())
        }
    }
}

/// Prints text to the standard output.
fn say(text: &str) -> Outcome {
    let mut out = stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::io("write to the standard output", &error))
}

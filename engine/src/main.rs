//! The `habitue` command.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

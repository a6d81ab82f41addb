//! The shell: statements with many lines, history, colours, completion, and its own commands.

mod completion;
mod dot_command;
mod editor;
pub(crate) mod highlight;
mod history;
mod lexer;
mod names;
pub(crate) mod printer;
pub(crate) mod statements;
mod words;

use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::output::RowLimit;
use crate::cli::shell::dot_command::DotCommand;
use crate::cli::shell::editor::{Input, LineEditor};
use crate::cli::shell::printer::{Printer, Timer};
use crate::cli::sql::run_script;
use crate::cli::{quantity, say};
use clap::ValueEnum;
use habitue_sql::Session;
use std::io::{Write, stderr};
use std::path::Path;
use tokio::runtime::Runtime;

/// A person's session at the terminal.
pub(crate) struct Shell<'a> {
    session: Session,
    printer: Printer,
    runtime: &'a Runtime,
    database: Option<&'a str>,
}

/// Whether the shell goes on.
enum Next {
    Prompt,
    Leave,
}

impl<'a> Shell<'a> {
    /// A shell over this session.
    pub(crate) fn new(
        session: Session,
        printer: Printer,
        runtime: &'a Runtime,
        database: Option<&'a str>,
    ) -> Self {
        Self { session, printer, runtime, database }
    }

    /// Reads and runs until the person leaves. A failed statement does not end the shell.
    pub(crate) fn run(mut self) -> Outcome {
        say(&self.greeting())?;
        let mut editor = LineEditor::new(self.session.clone(), self.runtime.handle().clone())?;
        loop {
            let text = match editor.read()? {
                Input::Text(text) => text,
                Input::Nothing => continue,
                Input::End => return Ok(()),
            };
            match self.handle(&text) {
                Ok(Next::Prompt) => {}
                Ok(Next::Leave) => return Ok(()),
                Err(failure) if failure.exit == Exit::Quiet => return Err(failure),
                Err(failure) => {
                    // A closed error stream leaves nobody to tell.
                    let _ = stderr().write_all(failure.text().as_bytes());
                }
            }
            editor.forget_names();
        }
    }

    fn greeting(&self) -> String {
        let place = match self.database {
            Some(database) => format!("database {database}"),
            None => "an empty database in memory".into(),
        };
        let version = env!("CARGO_PKG_VERSION");
        format!("habitue {version}, {place}\n.help lists commands, statements end with ;\n")
    }

    fn handle(&mut self, text: &str) -> Outcome<Next> {
        let trimmed = text.trim();
        if matches!(trimmed.trim_end_matches(';'), "quit" | "exit" | "\\q") {
            return Ok(Next::Leave);
        }
        if trimmed.starts_with('.') {
            let command = dot_command::parse(trimmed).map_err(Failure::request)?;
            return self.obey(command);
        }
        self.script(text)?;
        Ok(Next::Prompt)
    }

    fn script(&mut self, text: &str) -> Outcome {
        self.runtime.block_on(run_script(&self.session, &mut self.printer, text))
    }

    fn obey(&mut self, command: DotCommand) -> Outcome<Next> {
        match command {
            DotCommand::Tables => self.script(names::TABLES)?,
            DotCommand::Schema(table) => self.script(&names::schema_query(table.as_deref()))?,
            DotCommand::Mode(Some(format)) => self.printer.format = format,
            DotCommand::Mode(None) => {
                let name = self.printer.format.to_possible_value();
                say(&format!("{}\n", name.as_ref().map_or("", |name| name.get_name())))?;
            }
            DotCommand::Timer(Some(timer)) => self.printer.timer = timer,
            DotCommand::Timer(None) => {
                let state = if self.printer.timer == Timer::On { "on" } else { "off" };
                say(&format!("{state}\n"))?;
            }
            DotCommand::Rows(Some(limit)) => self.printer.rows = limit,
            DotCommand::Rows(None) => match self.printer.rows {
                RowLimit::All => say("all\n")?,
                RowLimit::First(rows) => say(&format!("{}\n", quantity::grouped(rows as u64)))?,
            },
            DotCommand::Read(path) => self.read(&path)?,
            DotCommand::Output(path) => self.printer.send_to(path.as_deref())?,
            DotCommand::Help => say(&dot_command::help())?,
            DotCommand::Quit => return Ok(Next::Leave),
        }
        Ok(Next::Prompt)
    }

    fn read(&mut self, path: &Path) -> Outcome {
        let doing = format!("read file. path={}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| Failure::io(&doing, &error))?;
        self.script(&text)
    }
}

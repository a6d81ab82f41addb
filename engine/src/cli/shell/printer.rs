//! Where answers go, and how they look there.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{AnswerWriter, Format, Layout, RowLimit};
use crate::cli::quantity::{bytes, counted, duration};
use crate::cli::terminal;
use futures::StreamExt;
use habitue_sql::{Answer, Session};
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use std::time::Instant;

/// Whether a line with the time and the bytes that were read of objects follows each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// Runs statements and prints their answers.
pub(crate) struct Printer {
    /// How answers are written.
    pub(crate) format: Format,
    /// Whether the time is told.
    pub(crate) timer: Timer,
    /// How many rows a table on the screen shows.
    pub(crate) rows: RowLimit,
    /// A file instead of the standard output.
    file: Option<BufWriter<File>>,
}

impl Printer {
    /// Prints to the standard output.
    pub(crate) fn new(format: Format, timer: Timer) -> Self {
        let rows = RowLimit::First(terminal::ROWS_SHOWN);
        Self { format, timer, rows, file: None }
    }

    /// Sends further answers to this file, which is made anew; `None` is the standard output.
    pub(crate) fn send_to(&mut self, path: Option<&Path>) -> Outcome {
        self.flush()?;
        self.file = match path {
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    Failure::io(&format!("create file. path={}", path.display()), &error)
                })?;
                Some(BufWriter::new(file))
            }
            None => None,
        };
        Ok(())
    }

    /// Runs one statement and prints its answer while it is computed. Ctrl-C cancels it.
    pub(crate) async fn run(&mut self, session: &Session, sql: &str) -> Outcome {
        let (started, bytes_before) = (Instant::now(), bytes_read(session));
        let work = async {
            let answer = session.run(sql).await.map_err(|error| pointed(error, sql))?;
            self.print(answer, sql).await
        };
        let rows = tokio::select! {
            done = work => done?,
            interrupt = tokio::signal::ctrl_c() => {
                interrupt.map_err(|error| Failure::io("listen for Ctrl-C", &error))?;
                self.flush()?;
                return Err(Failure::interrupted());
            }
        };
        if self.timer == Timer::On {
            let time = duration(started.elapsed());
            let read = bytes(bytes_read(session).saturating_sub(bytes_before));
            let line = format!("{} in {time}, {read} read\n", counted(rows, "row"));
            put(&mut stdout().lock(), line.as_bytes())?;
        }
        Ok(())
    }

    async fn print(&mut self, answer: Answer, sql: &str) -> Outcome<u64> {
        let mut buffer = Vec::new();
        let mut stream = answer.stream;
        let mut writer =
            AnswerWriter::new(self.format, self.layout(), &answer.schema, &mut buffer)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| pointed(habitue_sql::Error::from(error), sql))?;
            writer.write(&batch, &mut buffer)?;
            self.put(&mut buffer)?;
        }
        let rows = writer.finish(&mut buffer)?;
        self.put(&mut buffer)?;
        self.flush()?;
        Ok(rows)
    }

    fn layout(&self) -> Layout {
        if self.file.is_none() && terminal::is_screen() {
            terminal::screen(self.rows)
        } else {
            Layout::FILE
        }
    }

    fn put(&mut self, buffer: &mut Vec<u8>) -> Outcome {
        match &mut self.file {
            Some(file) => put(file, buffer)?,
            None => put(&mut stdout().lock(), buffer)?,
        }
        buffer.clear();
        Ok(())
    }

    fn flush(&mut self) -> Outcome {
        let flushed = match &mut self.file {
            Some(file) => file.flush(),
            None => stdout().flush(),
        };
        flushed.map_err(|error| Failure::io("write the answer", &error))
    }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> Outcome {
    out.write_all(bytes).map_err(|error| Failure::io("write the answer", &error))
}

/// The failure with the line of the statement and a mark under the word, where the place is known.
fn pointed(error: habitue_sql::Error, sql: &str) -> Failure {
    let mark = error.position().and_then(|at| marked_line(sql, at.line, at.column));
    let mut failure = Failure::from(error);
    if let Some(mark) = mark {
        failure.message = format!("{}\n{mark}", failure.message);
    }
    failure
}

/// What the process read of the database so far.
fn bytes_read(session: &Session) -> u64 {
    session.database().store().bucket().bytes_read()
}

/// The line (from 1) with `^` under its column (from 1).
fn marked_line(sql: &str, line: u64, column: u64) -> Option<String> {
    const LINE_MAX: usize = 200;
    let text = sql.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
    let before = usize::try_from(column.checked_sub(1)?).ok()?;
    if text.chars().count() > LINE_MAX || before > LINE_MAX {
        return None;
    }
    let before: String = text.chars().take(before).collect();
    let indent = " ".repeat(crate::cli::output::cell::width(&before));
    Some(format!("  {text}\n  {indent}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_word() {
        let marked = marked_line("SELECT 1,\n  '東' AS 東京, x", 2, 14);
        assert_eq!(marked.unwrap(), "    '東' AS 東京, x\n                  ^");
        assert_eq!(marked_line("SELECT 1", 3, 1), None);
        assert_eq!(marked_line("SELECT 1", 0, 0), None);
    }
}

//! The demo's report: titles, the SQL that was asked, the answers, and the time all took.

use crate::cli::demo::folder::{DemoFolder, program};
use crate::cli::demo::questions::{QUESTIONS, SEGMENTS};
use crate::cli::failure::Outcome;
use crate::cli::output::{Format, Paint};
use crate::cli::quantity::duration;
use crate::cli::shell::highlight::highlighted;
use crate::cli::shell::printer::{Printer, Timer};
use crate::cli::{say, terminal};
use habitue::Engine;
use std::time::{Duration, Instant};

/// Prints, and remembers how long each part took.
#[derive(Debug, Default)]
pub(super) struct Report {
    times: Vec<(&'static str, Duration)>,
}

impl Report {
    /// Remembers the time of one part.
    pub(super) fn timed(&mut self, part: &'static str, time: Duration) {
        self.times.push((part, time));
    }

    /// Begins a part.
    pub(super) fn title(&self, title: &str) -> Outcome {
        match paint() {
            Paint::Coloured => say(&format!("\n\u{1b}[1;33m{title}\u{1b}[0m\n")),
            Paint::Plain => say(&format!("\n{title}\n")),
        }
    }

    /// Shows a command of the system's shell.
    pub(super) fn command(&self, command: &str) -> Outcome {
        say(&format!("  $ {command}\n"))
    }

    fn sql(&self, sql: &str) -> Outcome {
        let lines = sql.lines().map(|line| match paint() {
            Paint::Coloured => format!("  {}\n", highlighted(line)),
            Paint::Plain => format!("  {line}\n"),
        });
        let text: String = lines.collect();
        say(&format!("{};\n", text.trim_end_matches('\n')))
    }

    /// Makes the segments and computes them.
    pub(super) async fn segments(&mut self, engine: &Engine) -> Outcome {
        let started = Instant::now();
        self.title("Five segments")?;
        for sql in SEGMENTS {
            self.sql(sql)?;
            engine.sql_all(sql).await?;
        }
        self.sql("REFRESH ALL SEGMENTS")?;
        engine.refresh(None).await?;
        self.timed("segments refreshed", started.elapsed());
        Ok(())
    }

    /// Asks the questions and prints their answers.
    pub(super) async fn answers(&mut self, engine: &Engine) -> Outcome {
        let session = engine.session();
        let mut printer = Printer::new(Format::Table, Timer::Off);
        let mut asked = Duration::ZERO;
        for question in QUESTIONS {
            self.title(question.title)?;
            self.sql(question.sql)?;
            let started = Instant::now();
            printer.run(&session, question.sql).await?;
            asked += started.elapsed();
        }
        self.timed("questions answered", asked);
        Ok(())
    }

    /// Says how long it took and what to try next.
    pub(super) fn farewell(&self, folder: &DemoFolder) -> Outcome {
        self.title("Time")?;
        let parts = self.times.iter().map(|(part, time)| format!("{part} in {}", duration(*time)));
        say(&format!("{}\n", parts.collect::<Vec<_>>().join(", ")))?;
        self.title("Try next")?;
        let sql = folder.sql_command();
        self.command(&sql)?;
        self.command(&format!(
            "{sql} -c \"SELECT * FROM customers ORDER BY events DESC LIMIT 5\""
        ))?;
        self.command(&format!(
            "{sql} -c \"SELECT namespace, value, state FROM identifiers WHERE customer_id = 0\""
        ))?;
        self.command(&format!(
            "{sql} -c \"EXPLAIN SELECT count(*) FROM events WHERE in_segment(customer_id, 'vip')\""
        ))?;
        self.command(&folder.verify_command())?;
        say("The same file again changes nothing:\n")?;
        self.command(&folder.ingest_command())?;
        say("Your own events:\n")?;
        self.command(&format!("{} init mine", program()))?;
        self.command(&format!("{} ingest mine YOUR_EVENTS.ndjson", program()))?;
        self.command(&format!("{} ingest --help", program()))
    }
}

fn paint() -> Paint {
    if terminal::is_screen() { terminal::paint() } else { Paint::Plain }
}

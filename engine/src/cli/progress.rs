//! A progress line on the terminal while events are read; nothing where nobody looks.

use crate::cli::quantity::{counted, grouped, per_second};
use habitue::{CompactionProgress, IngestProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How often the line is drawn anew.
const TIMES_PER_SECOND: u8 = 8;
const KNOWN_LENGTH: &str = "{prefix} {bar:24} {percent:>3} %  {msg}, {eta} left";
const UNKNOWN_LENGTH: &str = "{prefix} {spinner} {msg}";

/// The line for one input.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Draws on the error stream, if it is a terminal, so that answers can be piped.
    pub(crate) fn on_terminal(name: &str) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(TIMES_PER_SECOND);
        let bar = ProgressBar::with_draw_target(None, target).with_prefix(name.to_owned());
        bar.set_style(style(UNKNOWN_LENGTH));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, progress: IngestProgress) {
        if let Some(total) = progress.bytes_total.filter(|_| self.0.length().is_none()) {
            self.0.set_length(total);
            self.0.set_style(style(KNOWN_LENGTH));
        }
        self.0.set_position(progress.bytes_read);
        let rate = per_second(progress.rows_read, self.0.elapsed());
        let rows = counted(progress.rows_read, "row");
        self.0.set_message(format!("{rows}, {} per second", grouped(rate)));
    }

    /// Shows how far a compaction is.
    pub(crate) fn show_compaction(&self, progress: CompactionProgress) {
        self.0.set_length(progress.rows);
        self.0.set_style(style(KNOWN_LENGTH));
        self.0.set_position(progress.rows_done);
        self.0.set_message(counted(progress.rows_done, "row"));
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// A template that cannot be read shows the plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

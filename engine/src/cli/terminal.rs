//! What is known about the terminal, if there is one.

use crate::cli::output::{Layout, Paint, RowLimit};
use std::io::{IsTerminal, stdout};

/// So many rows of a table are shown on a terminal.
pub(crate) const ROWS_SHOWN: usize = 40;
/// Assumed when a terminal does not say.
const WIDTH_UNKNOWN: usize = 100;
/// Narrower than that, nothing can be drawn.
const WIDTH_MIN: usize = 20;

/// Whether answers go to a person's screen.
pub(crate) fn is_screen() -> bool {
    stdout().is_terminal()
}

/// What the screen allows at this moment: windows change their size.
pub(crate) fn screen(rows: RowLimit) -> Layout {
    let width = terminal_size::terminal_size()
        .map_or(WIDTH_UNKNOWN, |(width, _)| usize::from(width.0).max(WIDTH_MIN));
    Layout { width: Some(width), rows, paint: paint() }
}

/// Colours, unless the person does not want them (<https://no-color.org>).
pub(crate) fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let plain_terminal = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if unwanted || plain_terminal { Paint::Plain } else { Paint::Coloured }
}

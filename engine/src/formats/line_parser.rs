//! Parses the lines of a block into events; what a line means is the format's matter.

use super::blocks::LineBlock;
use super::event_row::{EventBlockBuilder, EventColumns, EventRow};
use super::{Block, Reject};

/// How one line of a format becomes an event.
pub(super) trait EventLine: Send + Sync + 'static {
    /// What is remembered from line to line of a block, for speed only.
    type Memory<'a>: Default;

    /// The columns of the events.
    fn columns(&self) -> &EventColumns;

    /// Fills the row, which is all NULL, from a line; answers why it cannot.
    fn parse<'a>(
        &self,
        line: &'a str,
        memory: &mut Self::Memory<'a>,
        row: &mut EventRow<'a>,
    ) -> Result<(), String>;
}

/// About this many bytes make one line of events, for the first guess of a size.
const LINE_BYTES_GUESS: usize = 256;

/// Parses all lines of a block.
pub(super) fn parse_events<L: EventLine>(format: &L, block: LineBlock) -> crate::Result<Block> {
    let columns = format.columns();
    let mut builder = EventBlockBuilder::new(columns, block.text.len() / LINE_BYTES_GUESS);
    if let Some(overlong) = block.overlong {
        builder.reject(overlong);
    }
    let mut memory = L::Memory::default();
    let mut row = EventRow::default();
    for line in lines_of(&block.text, block.first_line) {
        match line {
            Ok((number, line)) => {
                row.clear(columns);
                match format.parse(line, &mut memory, &mut row) {
                    Ok(()) => builder.push(number, &row),
                    Err(reason) => {
                        builder.reject(Reject { row: number, reason, raw: line.into() });
                    }
                }
            }
            Err(reject) => builder.reject(reject),
        }
    }
    builder.finish()
}

/// The lines of a block with their numbers, without blank ones; those that are not UTF-8 are rejects.
pub(super) fn lines_of(
    text: &[u8],
    first_line: u64,
) -> Box<dyn Iterator<Item = Result<(u64, &str), Reject>> + '_> {
    // One check of the whole block is several times faster than one per line.
    match std::str::from_utf8(text) {
        Ok(text) => Box::new(
            text.split('\n')
                .zip(first_line..)
                .map(|(line, number)| Ok((number, without_byte_order_mark(line, number))))
                .filter(|line| line.as_ref().is_ok_and(|(_, line)| !is_blank(line))),
        ),
        Err(_) => Box::new(
            text.split(|byte| *byte == b'\n')
                .zip(first_line..)
                .map(|(line, number)| checked_line(line, number))
                .filter(|line| line.as_ref().map_or(true, |(_, line)| !is_blank(line))),
        ),
    }
}

fn checked_line(line: &[u8], number: u64) -> Result<(u64, &str), Reject> {
    match std::str::from_utf8(line) {
        Ok(line) => Ok((number, without_byte_order_mark(line, number))),
        Err(error) => Err(Reject {
            row: number,
            reason: format!("not UTF-8 from byte {} on", error.valid_up_to() + 1),
            raw: String::from_utf8_lossy(line).into_owned(),
        }),
    }
}

fn without_byte_order_mark(line: &str, number: u64) -> &str {
    let line = if number == 1 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
    line.strip_suffix('\r').unwrap_or(line)
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_blank_ones_are_no_rows() {
        let text = "\u{feff}a\r\n\n  \nb";
        let lines: Vec<_> = lines_of(text.as_bytes(), 1).map(Result::unwrap).collect();
        assert_eq!(lines, [(1, "a"), (4, "b")]);
    }

    #[test]
    fn only_the_lines_that_are_not_utf8_are_rejected() {
        let lines: Vec<_> = lines_of(b"a\nb\xffc\nd", 7).collect();
        assert_eq!(lines[0], Ok((7, "a")));
        assert_eq!(lines[1].as_ref().unwrap_err().reason, "not UTF-8 from byte 2 on");
        assert_eq!(lines[1].as_ref().unwrap_err().row, 8);
        assert_eq!(lines[2], Ok((9, "d")));
    }
}

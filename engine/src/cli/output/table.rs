//! A table drawn with lines: numbers on the right, wide cells cut, long tables shortened.

use crate::cli::output::cell::{Align, CUT, Cell, Column, fitted, width};
use crate::cli::output::fit::{Fitted, fit};
use crate::cli::output::{Layout, Paint, RowLimit};
use crate::cli::quantity::{counted, grouped};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use std::io::Write;

/// Widths are measured on so many rows; the rest follows without being held in memory.
const ROWS_MEASURED: usize = 10_000;
const DIM: &str = "\u{1b}[2m";
const BOLD: &str = "\u{1b}[1m";
const RESET: &str = "\u{1b}[0m";

/// Draws one answer.
pub(crate) struct TableWriter {
    names: Vec<String>,
    aligns: Vec<Align>,
    layout: Layout,
    /// The rows whose widths decide, until the head is drawn.
    waiting: Vec<Vec<Cell>>,
    drawn: Option<Fitted>,
    rows_left_out: u64,
}

impl TableWriter {
    /// A table with these columns.
    pub(crate) fn new(schema: &Schema, layout: Layout) -> Self {
        let fields = schema.fields();
        Self {
            names: fields.iter().map(|field| field.name().clone()).collect(),
            aligns: fields.iter().map(|field| Align::of(field.data_type())).collect(),
            layout,
            waiting: Vec::new(),
            drawn: None,
            rows_left_out: 0,
        }
    }

    /// Takes in some rows; draws them once the widths are known.
    pub(crate) fn write(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        let room = match self.layout.rows {
            RowLimit::First(limit) => limit.saturating_sub(self.waiting.len()),
            RowLimit::All => batch.num_rows(),
        };
        let taken = batch.num_rows().min(room);
        self.rows_left_out += (batch.num_rows() - taken) as u64;
        let columns = Column::all(batch)?;
        for row in 0..taken {
            let cells = columns.iter().map(|column| column.cell(row));
            self.waiting.push(cells.collect::<Result<_, _>>()?);
        }
        if self.layout.rows == RowLimit::All && self.waiting.len() >= ROWS_MEASURED {
            self.draw_waiting(out)?;
        }
        Ok(())
    }

    /// Draws what is left, and says what was left out.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.names.is_empty() {
            return Ok(());
        }
        self.draw_waiting(out)?;
        let Some(fitted) = &self.drawn else { return Ok(()) };
        self.line(out, fitted, ["└", "┴", "┘"])?;
        if self.rows_left_out > 0 {
            let verb = counted(self.rows_left_out, "more row");
            writeln!(out, "{CUT} {verb} (.rows all shows every row)")?;
        }
        if !fitted.hidden.is_empty() {
            let names: Vec<_> = fitted.hidden.iter().map(|c| self.names[*c].as_str()).collect();
            let count = grouped(names.len() as u64);
            writeln!(out, "{CUT} {count} more columns: {}", names.join(", "))?;
        }
        Ok(())
    }

    fn draw_waiting(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let rows = std::mem::take(&mut self.waiting);
        if self.drawn.is_none() {
            let fitted = fit(&self.natural_widths(&rows), self.layout.width);
            self.head(out, &fitted)?;
            self.drawn = Some(fitted);
        }
        let Some(fitted) = &self.drawn else { return Ok(()) };
        for row in &rows {
            self.row(out, fitted, row)?;
        }
        Ok(())
    }

    fn natural_widths(&self, rows: &[Vec<Cell>]) -> Vec<usize> {
        let mut widths: Vec<_> = self.names.iter().map(|name| width(name)).collect();
        for row in rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell.text()));
            }
        }
        widths
    }

    fn head(&self, out: &mut Vec<u8>, fitted: &Fitted) -> Result<(), ArrowError> {
        self.line(out, fitted, ["┌", "┬", "┐"])?;
        let names = self.cells(fitted, |column, places| {
            let name = self.fit_cell(&self.names[column], places, self.aligns[column]);
            self.painted(BOLD, &name)
        });
        writeln!(out, "{names}")?;
        self.line(out, fitted, ["├", "┼", "┤"])
    }

    fn row(&self, out: &mut Vec<u8>, fitted: &Fitted, row: &[Cell]) -> Result<(), ArrowError> {
        let cells = self.cells(fitted, |column, places| {
            let text = self.fit_cell(row[column].text(), places, self.aligns[column]);
            match row[column] {
                Cell::Null => self.painted(DIM, &text),
                Cell::Text(_) => text,
            }
        });
        writeln!(out, "{cells}")?;
        Ok(())
    }

    /// A file is never cut: rows that came after the measured ones may stick out.
    fn fit_cell(&self, text: &str, places: usize, align: Align) -> String {
        if self.layout.width.is_none() && width(text) > places {
            return text.to_owned();
        }
        fitted(text, places, align)
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        match self.layout.paint {
            Paint::Plain => text.to_owned(),
            Paint::Coloured => format!("{colour}{text}{RESET}"),
        }
    }

    fn cells(&self, fitted: &Fitted, text: impl Fn(usize, usize) -> String) -> String {
        let mut line = String::from("│");
        let gap = fitted.hidden.first();
        for (column, places) in &fitted.shown {
            if gap.is_some_and(|gap| *column == gap + fitted.hidden.len()) {
                line.push_str(" … │");
            }
            line.push_str(&format!(" {} │", text(*column, *places)));
        }
        if gap.is_some_and(|gap| gap + fitted.hidden.len() == self.names.len()) {
            line.push_str(" … │");
        }
        line
    }

    fn line(
        &self,
        out: &mut Vec<u8>,
        fitted: &Fitted,
        corners: [&str; 3],
    ) -> Result<(), ArrowError> {
        let [left, middle, right] = corners;
        let mut dashes: Vec<_> =
            fitted.shown.iter().map(|(_, places)| "─".repeat(places + 2)).collect();
        if let Some(gap) = fitted.hidden.first() {
            dashes.insert(*gap, "─".repeat(3));
        }
        writeln!(out, "{left}{}{right}", dashes.join(middle))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

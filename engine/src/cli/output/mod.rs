//! Answers as people and programs read them: table, CSV, JSON, NDJSON, Markdown.

pub(crate) mod cell;
mod csv;
mod fit;
mod markdown;
mod table;

use crate::cli::output::csv::Header;
use crate::cli::output::table::TableWriter;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, LineDelimited, Writer, WriterBuilder};
use arrow::util::display::array_value_to_string;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Lines and columns for the eye.
    Table,
    /// Comma-separated values with a header line; NULL is an empty field.
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// A Markdown table.
    Markdown,
}

/// How many rows a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowLimit {
    /// Every row.
    All,
    /// The first rows, and then how many more there are.
    First(usize),
}

/// Whether colours are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Text only.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// What the place allows to which a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Its width in letters; `None` has no end.
    pub(crate) width: Option<usize>,
    /// How many rows are shown.
    pub(crate) rows: RowLimit,
    /// Whether it understands colours.
    pub(crate) paint: Paint,
}

impl Layout {
    /// A file or a pipe: everything is written, nothing is coloured.
    pub(crate) const FILE: Self = Self { width: None, rows: RowLimit::All, paint: Paint::Plain };
}

/// Writes one answer, batch by batch, into a buffer that the caller empties.
///
/// The buffer keeps errors of the formats apart from errors of the place that is written to.
pub(crate) struct AnswerWriter {
    schema: SchemaRef,
    kind: Kind,
    rows: u64,
}

enum Kind {
    Table(TableWriter),
    Message,
    Plan,
    Csv(Header),
    Json(Writer<Vec<u8>, JsonArray>),
    Ndjson(Writer<Vec<u8>, LineDelimited>),
    Markdown,
}

impl AnswerWriter {
    /// Begins an answer with these columns.
    pub(crate) fn new(
        format: Format,
        layout: Layout,
        schema: &SchemaRef,
        out: &mut Vec<u8>,
    ) -> Result<Self, ArrowError> {
        let json = || WriterBuilder::new().with_explicit_nulls(true);
        let kind = match format {
            Format::Table if is_message(schema) => Kind::Message,
            Format::Table if is_plan(schema) => Kind::Plan,
            Format::Table => Kind::Table(TableWriter::new(schema, layout)),
            Format::Csv => Kind::Csv(Header::Written),
            Format::Json => Kind::Json(json().build(Vec::new())),
            Format::Ndjson => Kind::Ndjson(json().build(Vec::new())),
            Format::Markdown => Kind::Markdown,
        };
        if matches!(kind, Kind::Markdown) {
            markdown::head(schema, out)?;
        }
        Ok(Self { schema: schema.clone(), kind, rows: 0 })
    }

    /// Writes some rows.
    pub(crate) fn write(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        self.rows += batch.num_rows() as u64;
        match &mut self.kind {
            Kind::Table(table) => table.write(batch, out),
            Kind::Message => messages(batch, out),
            Kind::Plan => plans(batch, out),
            Kind::Csv(header) => csv::write(batch, std::mem::replace(header, Header::Omitted), out),
            Kind::Json(writer) => {
                writer.write(batch)?;
                out.append(writer.get_mut());
                Ok(())
            }
            Kind::Ndjson(writer) => {
                writer.write(batch)?;
                out.append(writer.get_mut());
                Ok(())
            }
            Kind::Markdown => markdown::rows(batch, out),
        }
    }

    /// Ends the answer and says how many rows it had.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<u64, ArrowError> {
        match self.kind {
            Kind::Table(table) => table.finish(out)?,
            Kind::Csv(Header::Written) => {
                // No batch came: the header is all there is.
                csv::write(&RecordBatch::new_empty(self.schema), Header::Written, out)?;
            }
            Kind::Json(mut writer) => {
                writer.finish()?;
                out.append(writer.get_mut());
                out.push(b'\n');
            }
            Kind::Ndjson(mut writer) => {
                writer.finish()?;
                out.append(writer.get_mut());
            }
            Kind::Message | Kind::Plan | Kind::Csv(Header::Omitted) | Kind::Markdown => {}
        }
        Ok(self.rows)
    }
}

/// Statements that change something answer with sentences, which need no frame.
fn is_message(schema: &SchemaRef) -> bool {
    let [field] = schema.fields().as_ref() else { return false };
    field.name() == "message" && !field.is_nullable()
}

fn messages(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    for column in cell::Column::all(batch)? {
        for row in 0..batch.num_rows() {
            out.extend_from_slice(column.cell(row)?.text().as_bytes());
            out.push(b'\n');
        }
    }
    Ok(())
}

/// EXPLAIN answers texts with many lines, which no column can hold.
fn is_plan(schema: &SchemaRef) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
}

fn plans(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    for row in 0..batch.num_rows() {
        let kind = array_value_to_string(batch.column(0), row)?;
        let plan = array_value_to_string(batch.column(1), row)?;
        out.extend_from_slice(format!("{}\n", cell::printable(kind)).as_bytes());
        for line in plan.lines() {
            out.extend_from_slice(format!("  {}\n", cell::printable(line.into())).as_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn answer(format: Format, batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let schema = batches[0].schema();
        let mut writer = AnswerWriter::new(format, Layout::FILE, &schema, &mut out).unwrap();
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            writer.write(batch, &mut out).unwrap();
        }
        writer.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn orders() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a \"b\", c", "line\nbreak"]));
        let amounts = Decimal128Array::from(vec![123_400, -5_000]);
        let amounts: ArrayRef = Arc::new(amounts.with_precision_and_scale(18, 4).unwrap());
        RecordBatch::try_from_iter([("id", ids), ("name", names), ("amount", amounts)]).unwrap()
    }

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        let expected = "id,name,amount\n1,\"a \"\"b\"\", c\",12.3400\n,\"line\nbreak\",-0.5000\n";
        assert_eq!(answer(Format::Csv, &[orders()]), expected);
    }

    #[test]
    fn json_keeps_missing_values_and_exact_decimals() {
        let expected = "[{\"id\":1,\"name\":\"a \\\"b\\\", c\",\"amount\":12.3400},\
            {\"id\":null,\"name\":\"line\\nbreak\",\"amount\":-0.5000}]\n";
        assert_eq!(answer(Format::Json, &[orders()]), expected);
    }

    #[test]
    fn ndjson_has_one_object_per_line() {
        let lines = answer(Format::Ndjson, &[orders(), orders()]);
        assert_eq!(lines.lines().count(), 4);
        assert!(lines.lines().all(|line| line.starts_with("{\"id\":") && line.ends_with('}')));
    }

    // If this fails, a script that reads an empty answer fails.
    #[test]
    fn empty_answers_are_well_formed() {
        let empty = [orders().slice(0, 0)];
        assert_eq!(answer(Format::Csv, &empty), "id,name,amount\n");
        assert_eq!(answer(Format::Json, &empty), "[]\n");
        assert_eq!(answer(Format::Ndjson, &empty), "");
        assert_eq!(answer(Format::Markdown, &empty).lines().count(), 2);
        assert_eq!(answer(Format::Table, &empty).lines().count(), 4);
    }

    #[test]
    fn plans_keep_their_lines() {
        let column = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let columns =
            [("plan_type", column("logical_plan")), ("plan", column("Filter: x\n  Scan"))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let expected = "logical_plan\n  Filter: x\n    Scan\n";
        assert_eq!(answer(Format::Table, &[batch]), expected);
    }

    #[test]
    fn sentences_have_no_frame() {
        let message: ArrayRef = Arc::new(StringArray::from(vec!["segment 'vip' created"]));
        let batch = RecordBatch::try_from_iter_with_nullable([("message", message, false)]);
        assert_eq!(answer(Format::Table, &[batch.unwrap()]), "segment 'vip' created\n");
    }
}

//! CSV: the first record names the columns, and all of them are text.
//!
//! The tokens come from `csv-core`. Arrow's own CSV reader stops at the first record that has too
//! many fields; here such a record becomes a reject and the next one is read.

use super::format::delimiter_of;
use super::pump::pump;
use super::{Block, Blocks, OVERLONG_KEPT_BYTES, RECORD_BYTES_MAX, Reject, RunBuilder};
use crate::error::{Error, Result};
use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use csv_core::ReadRecordResult;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

/// A block ends with the record that reaches one of these.
const BLOCK_ROWS: usize = 16 << 10;
const BLOCK_BYTES: usize = 4 << 20;

const READ_BYTES: usize = 256 << 10;
const FIELDS_MAX: usize = 64 << 10;

/// Reads CSV; `head` is the beginning of what `reader` gives and tells the delimiter.
pub(super) fn open(
    name: &str,
    head: &[u8],
    reader: Box<dyn Read + Send>,
) -> Result<(SchemaRef, Blocks)> {
    let head = String::from_utf8_lossy(head);
    let delimiter = delimiter_of(head.lines().next().unwrap_or_default()).unwrap_or(b',');
    let mut records = Records::new(reader, delimiter);
    let read_error = |source| Error::input(name, "read", source);
    let header = match records.next().map_err(read_error)? {
        Outcome::Record => records.header().map_err(|reason| Error::unreadable(name, reason))?,
        Outcome::Overlong => {
            return Err(Error::unreadable(name, "the header line is too long"));
        }
        Outcome::End => Vec::new(),
    };
    let fields = header.into_iter().map(|name| Field::new(name, DataType::Utf8, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let name = name.to_owned();
    let block_schema = schema.clone();
    let blocks = pump(move || {
        let block = next_block(&mut records, &block_schema);
        block.map_err(|source| Error::input(&name, "read", source))?.transpose()
    });
    Ok((schema, blocks))
}

/// Reads records until a block is full; `None` at the end.
fn next_block<R: Read>(
    records: &mut Records<R>,
    schema: &SchemaRef,
) -> io::Result<Option<Result<Block>>> {
    let columns = schema.fields().len();
    let mut builders: Vec<_> = (0..columns).map(|_| StringBuilder::new()).collect();
    let mut numbers = RunBuilder::default();
    let mut rejects = Vec::new();
    let mut bytes = 0;
    while numbers.rows < BLOCK_ROWS && bytes < BLOCK_BYTES {
        match records.next()? {
            Outcome::End => break,
            Outcome::Overlong => rejects.push(records.overlong_reject()),
            Outcome::Record => match records.append_to(&mut builders) {
                Ok(()) => numbers.push(records.line),
                Err(reason) => rejects.push(records.reject(reason)),
            },
        }
        bytes += records.length;
    }
    if numbers.rows == 0 {
        return Ok((!rejects.is_empty()).then(|| Ok(Block { rejects, ..Block::default() })));
    }
    let arrays = builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
    let batch = RecordBatch::try_new(schema.clone(), arrays.collect()).map_err(Error::from);
    Ok(Some(batch.map(|batch| Block { batch: Some(batch), runs: numbers.runs, rejects })))
}

enum Outcome {
    Record,
    Overlong,
    End,
}

/// The records of a reader, one at a time in memory.
struct Records<R> {
    reader: R,
    core: csv_core::Reader,
    delimiter: u8,
    input: Vec<u8>,
    /// The part of `input` that has not been parsed.
    unread: std::ops::Range<usize>,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The current record: its bytes in `text`, its fields in `ends`, the line it begins in.
    length: usize,
    fields: usize,
    line: u64,
}

impl<R: Read> Records<R> {
    fn new(reader: R, delimiter: u8) -> Self {
        Self {
            reader,
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            input: vec![0; READ_BYTES],
            unread: 0..0,
            text: vec![0; READ_BYTES],
            ends: vec![0; 64],
            length: 0,
            fields: 0,
            line: 0,
        }
    }

    fn next(&mut self) -> io::Result<Outcome> {
        (self.length, self.fields) = (0, 0);
        self.skip_line_ends()?;
        self.line = self.core.line();
        let mut overlong = false;
        loop {
            if self.unread.is_empty() {
                self.fill()?;
            }
            let (result, read, written, ended) = self.core.read_record(
                &self.input[self.unread.clone()],
                &mut self.text[self.length..],
                &mut self.ends[self.fields..],
            );
            self.unread.start += read;
            self.length += written;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.length >= RECORD_BYTES_MAX => {
                    // The rest is parsed over the kept beginning, only to find the end.
                    overlong = true;
                    self.length = OVERLONG_KEPT_BYTES;
                }
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.fields >= FIELDS_MAX => {
                    overlong = true;
                    self.fields = 0;
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record if overlong => return Ok(Outcome::Overlong),
                ReadRecordResult::Record => return Ok(Outcome::Record),
                ReadRecordResult::End => return Ok(Outcome::End),
            }
        }
    }

    /// Passes over line ends in front of a record, so that its line number is its own.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            if self.unread.is_empty() {
                self.fill()?;
            }
            let rest = &self.input[self.unread.clone()];
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blank == 0 {
                return Ok(());
            }
            // The parser sees them too: it counts the lines.
            let line_ends = &self.input[self.unread.start..self.unread.start + blank];
            let (_, read, _, _) = self.core.read_record(line_ends, &mut self.text, &mut self.ends);
            self.unread.start += read.max(1);
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let read = loop {
            match self.reader.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread = 0..read;
        Ok(())
    }

    /// The fields of the current record.
    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends[..self.fields].iter().copied());
        starts.zip(&self.ends[..self.fields]).map(|(start, end)| &self.text[start..*end])
    }

    fn header(&self) -> Result<Vec<String>, String> {
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (place, field) in self.fields().enumerate() {
            let name = std::str::from_utf8(field).map_err(|_| "the header line is not UTF-8")?;
            let name = match name.trim() {
                "" => format!("column_{}", place + 1),
                name => name.to_owned(),
            };
            if !seen.insert(name.clone()) {
                return Err(format!("two columns are named '{name}'"));
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Adds the record to the columns: all fields or none.
    fn append_to(&self, builders: &mut [StringBuilder]) -> Result<(), String> {
        if self.fields != builders.len() {
            return Err(format!("{} fields, wanted {}", self.fields, builders.len()));
        }
        let text = std::str::from_utf8(&self.text[..self.length])
            .map_err(|error| format!("not UTF-8 after {} bytes", error.valid_up_to()))?;
        let mut start = 0;
        // Text that is whole as one may still be cut inside a character by a field's end.
        let ends = &self.ends[..self.fields];
        if let Some(place) = ends.iter().position(|end| !text.is_char_boundary(*end)) {
            return Err(format!("field {} is not UTF-8", place + 1));
        }
        for (builder, end) in builders.iter_mut().zip(ends) {
            let field = &text[start..*end];
            builder.append_option((!field.is_empty()).then_some(field));
            start = *end;
        }
        Ok(())
    }

    fn reject(&self, reason: String) -> Reject {
        let quoted = |field: &[u8]| {
            let field = String::from_utf8_lossy(field);
            let special = ['"', '\n', '\r', char::from(self.delimiter)];
            if field.contains(special) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.into_owned()
            }
        };
        let delimiter = char::from(self.delimiter).to_string();
        let raw = self.fields().map(quoted).collect::<Vec<_>>().join(&delimiter);
        Reject { row: self.line, reason, raw }
    }

    fn overlong_reject(&self) -> Reject {
        let kept = self.text.len().min(OVERLONG_KEPT_BYTES);
        Reject {
            row: self.line,
            reason: format!(
                "a record has more than {RECORD_BYTES_MAX} bytes or {FIELDS_MAX} fields; is a \
                 quote not closed?"
            ),
            raw: String::from_utf8_lossy(&self.text[..kept]).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> (Vec<Run>, Vec<Reject>, Vec<Vec<String>>) {
        let head = String::from_utf8_lossy(input).into_owned();
        let delimiter = delimiter_of(head.lines().next().unwrap_or_default()).unwrap_or(b',');
        let mut records = Records::new(input, delimiter);
        assert!(matches!(records.next().unwrap(), Outcome::Record));
        let fields = records.header().unwrap().into_iter();
        let fields = fields.map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let block = next_block(&mut records, &schema).unwrap().unwrap().unwrap();
        let batch = block.batch.unwrap();
        let row = |row| {
            let cell = |column: &ArrayRef| {
                arrow::util::display::array_value_to_string(column, row).unwrap()
            };
            batch.columns().iter().map(cell).collect()
        };
        (block.runs, block.rejects, (0..batch.num_rows()).map(row).collect())
    }
    use super::super::Run;

    #[test]
    fn records_with_too_few_or_too_many_fields_are_rejected_one_by_one() {
        let (runs, rejects, rows) = read(b"a,b\n1,2\n3\n4,5,6\n\"7\n7\",8\n9,\"\"\n");
        assert_eq!(rows, [["1", "2"], ["7\n7", "8"], ["9", ""]]);
        let rejects: Vec<_> = rejects.iter().map(|r| (r.row, &*r.reason, &*r.raw)).collect();
        assert_eq!(rejects, [(3, "1 fields, wanted 2", "3"), (4, "3 fields, wanted 2", "4,5,6")]);
        let runs: Vec<_> = runs.iter().map(|run| (run.start, run.first_row)).collect();
        assert_eq!(runs, [(0, 2), (1, 5), (2, 7)]);
    }

    #[test]
    fn line_numbers_hold_with_every_line_end() {
        for end in ["\n", "\r\n"] {
            let input = ["a;b", "1;2", "", "3;4", "5", "6;7"].join(end);
            let (runs, rejects, rows) = read(input.as_bytes());
            assert_eq!(rows.len(), 3, "{end:?}");
            let runs: Vec<_> = runs.iter().map(|run| (run.start, run.first_row)).collect();
            assert_eq!(runs, [(0, 2), (1, 4), (2, 6)], "{end:?}");
            assert_eq!(rejects[0].row, 5, "{end:?}");
        }
    }

    #[test]
    fn a_record_that_is_not_utf8_is_rejected() {
        let (_, rejects, rows) = read(b"a,b\nx\xff,2\n\xc3,\xa9\n1,2\n");
        assert_eq!(rows, [["1", "2"]]);
        assert_eq!(rejects.len(), 2);
        assert_eq!(rejects[1].reason, "field 1 is not UTF-8");
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let answer = open("x.csv", b"a,a\n", Box::new(b"a,a\n".as_slice()));
        assert!(answer.is_err_and(|error| error.to_string().contains("two columns")));
    }
}

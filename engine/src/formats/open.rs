//! Opens an input: finds its compression and format, and starts the reader of that format.

use super::event_row::EventColumns;
use super::line_parser::{EventLine, parse_events};
use super::ndjson::Ndjson;
use super::pump::{BlockParser, line_blocks, parse_in_order};
use super::segment_spec::SegmentSpec;
use super::source::{Input, Source};
use super::{Blocks, Format, columnar, csv, json_table, lines};
use crate::error::{Error, Result};
use arrow::datatypes::SchemaRef;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What the reader's rows are for.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Events of a database with these identifier namespaces.
    Events { namespaces: Vec<String> },
    /// A table that a SELECT turns into events.
    Table,
}

/// How to open an input.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// The format; `None` finds it out.
    pub format: Option<Format>,
    /// What the rows are for.
    pub shape: Shape,
    /// How many threads may parse.
    pub threads: usize,
    /// Where a file is copied to that must be read at any place and cannot be.
    pub spill_dir: PathBuf,
}

/// An input that is being read.
pub(crate) struct Opened {
    /// The columns of its batches.
    pub schema: SchemaRef,
    /// Its rows, in order.
    pub blocks: Blocks,
    /// Bytes as they lie in the input: read so far.
    pub bytes_read: Arc<AtomicU64>,
    /// Bytes in all, where that is known.
    pub bytes_total: Option<u64>,
}

/// Opens an input and looks at its beginning. Must be called within a tokio runtime.
pub(crate) async fn open(input: Input, opening: Opening) -> Result<Opened> {
    // Opening reads; standard input may let wait for long.
    let handle = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _inside = handle.enter();
        open_blocking(input, &opening)
    })
    .await
    .map_err(|_| Error::Internal("opening the input died".into()))?
}

fn open_blocking(input: Input, opening: &Opening) -> Result<Opened> {
    let source = Source::open(input)?;
    let name = source.name.clone();
    let unreadable = |reason| Error::unreadable(&name, reason);
    let format = match opening.format {
        Some(format) => format,
        None => Format::detect(&name, &source.head).map_err(unreadable)?,
    };
    let bytes_read = source.bytes_read.clone();
    let bytes_total = source.bytes_total;
    let (schema, blocks) = match (format, &opening.shape) {
        (Format::Parquet, _) => {
            columnar::parquet(&name, source.into_file(&opening.spill_dir)?, bytes_read.clone())?
        }
        (Format::Arrow, _) if source.head.starts_with(b"ARROW1") => {
            columnar::arrow_file(&name, source.into_file(&opening.spill_dir)?)?
        }
        (Format::Arrow, _) => columnar::arrow_stream(&name, source.into_reader())?,
        (Format::Csv, _) => {
            let head = source.head.clone();
            csv::open(&name, &head, source.into_reader())?
        }
        (Format::Ndjson | Format::Segment, Shape::Table) => {
            json_table::open(&name, source.into_reader(), opening.threads)?
        }
        (Format::Ndjson, Shape::Events { namespaces }) => {
            event_lines(Ndjson::new(namespaces), source, opening.threads)
        }
        (Format::Segment, Shape::Events { namespaces }) => {
            event_lines(SegmentSpec::new(namespaces), source, opening.threads)
        }
        (Format::Lines, Shape::Table) => {
            let blocks = line_blocks(name, source.into_reader());
            (lines::schema(), parse_in_order(blocks, Arc::new(lines::parse), opening.threads))
        }
        (Format::Lines, Shape::Events { .. }) => {
            return Err(Error::unreadable(
                name,
                "lines of text become events only through a SELECT; add --select 'SELECT … FROM \
                 input', whose columns are line_number and line",
            ));
        }
    };
    Ok(Opened { schema, blocks, bytes_read, bytes_total })
}

fn event_lines(format: impl EventLine, source: Source, threads: usize) -> (SchemaRef, Blocks) {
    let schema = EventColumns::schema(format.columns()).clone();
    let parser: BlockParser = Arc::new(move |block| parse_events(&format, block));
    let blocks = line_blocks(source.name.clone(), source.into_reader());
    (schema, parse_in_order(blocks, parser, threads))
}

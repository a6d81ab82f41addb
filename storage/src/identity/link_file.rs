//! Link files: Parquet files of links between identifiers.

use super::rules::{Link, LinkKind};
use crate::error::{Error, Result};
use crate::parquet_object::{Columns, decode, encode};
use arrow::array::{
    ArrayRef, AsArray, Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::datatypes::{
    DataType, Field, Float32Type, Schema, TimestampMicrosecondType, UInt32Type,
};
use bytes::Bytes;
use std::sync::Arc;

/// More links than this do not stand in one file: it is written and read as a whole.
pub(crate) const FILE_LINKS_MAX: usize = 1 << 21;

/// `identifier_a, identifier_b, kind, valid_from, source, evidence, weight`.
pub(crate) fn link_schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("identifier_a", DataType::UInt32, false),
        Field::new("identifier_b", DataType::UInt32, false),
        Field::new("kind", DataType::Utf8, false),
        Field::new("valid_from", crate::event::timestamp_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("evidence", DataType::Utf8, false),
        Field::new("weight", DataType::Float32, false),
    ]))
}

/// One row of a link file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinkRow {
    pub link: Link,
    pub source: Arc<str>,
    /// The event that shows it; of a manual link its reason.
    pub evidence: String,
    pub weight: f32,
}

/// What a link file says of a link besides the link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Details<'a> {
    pub source: &'a str,
    pub evidence: &'a str,
    pub weight: f32,
}

/// Rows as they are stored; `identifier_a` is the smaller one.
pub(crate) fn rows(links: &[LinkRow]) -> Result<RecordBatch> {
    let pairs = links.iter().map(|row| row.link.pair());
    let times = links.iter().map(|row| row.link.valid_from_us);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(pairs.clone().map(|(a, _)| a))),
        Arc::new(UInt32Array::from_iter_values(pairs.map(|(_, b)| b))),
        Arc::new(StringArray::from_iter_values(links.iter().map(|row| row.link.kind.word()))),
        Arc::new(times),
        Arc::new(StringArray::from_iter_values(links.iter().map(|row| &*row.source))),
        Arc::new(StringArray::from_iter_values(links.iter().map(|row| &row.evidence))),
        Arc::new(Float32Array::from_iter_values(links.iter().map(|row| row.weight))),
    ];
    RecordBatch::try_new(link_schema(), columns).map_err(|source| Error::Arrow {
        during: "making a link file".into(),
        source: Arc::new(source),
    })
}

/// The bytes of a link file.
pub(crate) fn encode_links(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let columns = Columns {
        delta: &["identifier_a", "identifier_b", "valid_from"],
        dictionary: &["kind", "source", "weight"],
        plain: &[],
    };
    encode(&link_schema(), batches, &columns)
}

/// Reads a link file whole, all columns.
pub(crate) fn decode_batches(path: &str, object: Bytes) -> Result<Vec<RecordBatch>> {
    let schema = link_schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    decode(path, object, &schema, &names)
}

/// Hands each link of a file to `take`, with its source, evidence and weight. Links of identifiers
/// from `identifiers` on are damage.
pub(crate) fn read_links(
    path: &str,
    object: Bytes,
    identifiers: u32,
    mut take: impl FnMut(Link, Details<'_>) -> Result<()>,
) -> Result<()> {
    for batch in decode_batches(path, object)? {
        let a = batch.column(0).as_primitive::<UInt32Type>();
        let b = batch.column(1).as_primitive::<UInt32Type>();
        let kinds = batch.column(2).as_string::<i32>();
        let times = batch.column(3).as_primitive::<TimestampMicrosecondType>();
        let sources = batch.column(4).as_string::<i32>();
        let evidence = batch.column(5).as_string::<i32>();
        let weights = batch.column(6).as_primitive::<Float32Type>();
        for row in 0..batch.num_rows() {
            let (a, b) = (a.value(row), b.value(row));
            if a >= b || b >= identifiers {
                return Err(Error::corrupt(path, format!("it links {a} with {b}")));
            }
            let kind = LinkKind::from_word(kinds.value(row)).ok_or_else(|| {
                Error::corrupt(path, format!("kind of link is {:?}", kinds.value(row)))
            })?;
            let link = Link { a, b, kind, valid_from_us: times.value(row) };
            let details = Details {
                source: sources.value(row),
                evidence: evidence.value(row),
                weight: weights.value(row),
            };
            take(link, details)?;
        }
    }
    Ok(())
}

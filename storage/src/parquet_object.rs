//! Whole small Parquet objects: dictionary runs and link files, written and read in one piece.

use crate::error::{Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

const BATCH_ROWS: usize = 65_536;

/// How columns are stored; those that are not named are compressed text.
pub(crate) struct Columns<'a> {
    /// Numbers that grow slowly.
    pub delta: &'a [&'a str],
    /// Few distinct values.
    pub dictionary: &'a [&'a str],
    /// Bytes that nothing makes smaller.
    pub plain: &'a [&'a str],
}

/// The bytes of a Parquet file. It carries no statistics: they would repeat people's values.
pub(crate) fn encode(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    columns: &Columns<'_>,
) -> Result<Vec<u8>> {
    let failed = |source: ParquetError| Error::Parquet {
        path: "a new file".into(),
        source: Arc::new(source),
    };
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).map_err(failed)?);
    let mut properties = WriterProperties::builder()
        .set_compression(zstd)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None);
    for name in columns.delta {
        properties = properties
            .set_column_encoding(ColumnPath::from(*name), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(ColumnPath::from(*name), Compression::UNCOMPRESSED);
    }
    for name in columns.dictionary {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(*name), true);
    }
    for name in columns.plain {
        let column = ColumnPath::from(*name);
        properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
    }
    let properties = Some(properties.build());
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, Arc::clone(schema), properties).map_err(failed)?;
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(bytes)
}

/// Reads some columns of a Parquet file, in the order in which they are named, and checks that they
/// have the types of `schema`.
pub(crate) fn decode(
    path: &str,
    object: Bytes,
    schema: &Schema,
    columns: &[&str],
) -> Result<Vec<RecordBatch>> {
    let damaged = |reason: String| Error::corrupt(path, reason);
    let failed =
        |source: ParquetError| Error::Parquet { path: path.into(), source: Arc::new(source) };
    let builder = ParquetRecordBatchReaderBuilder::try_new(object).map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    let mut batches = Vec::new();
    for batch in reader.map_err(failed)? {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        let found = batch.schema();
        let mut places = Vec::with_capacity(columns.len());
        for name in columns {
            let place = found.index_of(name);
            let place = place.map_err(|_| damaged(format!("column {name} is missing")))?;
            let wanted = schema.field_with_name(name).map(arrow::datatypes::Field::data_type);
            let type_found = found.field(place).data_type();
            if wanted.is_ok_and(|wanted| wanted != type_found) {
                return Err(damaged(format!("column {name} is of type {type_found}")));
            }
            if batch.column(place).null_count() > 0 && !is_nullable(schema, name) {
                return Err(damaged(format!("column {name} has gaps")));
            }
            places.push(place);
        }
        batches.push(batch.project(&places).map_err(|error| damaged(error.to_string()))?);
    }
    Ok(batches)
}

fn is_nullable(schema: &Schema, name: &str) -> bool {
    schema.field_with_name(name).is_ok_and(arrow::datatypes::Field::is_nullable)
}

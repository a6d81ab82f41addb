//! What drivers show of a column, beside its Arrow type: the metadata keys of Flight SQL.

use arrow::datatypes::{DataType, Field, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// A table and its place, for the metadata of its columns.
pub(in crate::flight) struct TablePlace<'a> {
    pub(in crate::flight) catalog: &'a str,
    pub(in crate::flight) schema: &'a str,
    pub(in crate::flight) table: &'a str,
}

/// The schema of a table with what drivers want to know of its columns.
pub(in crate::flight) fn described(schema: &Schema, place: &TablePlace<'_>) -> Schema {
    let fields = schema.fields().iter().map(|field| Arc::new(described_field(field, place)));
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}

fn described_field(field: &Field, place: &TablePlace<'_>) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    let mut tell = |key: &str, value: String| {
        metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
    };
    tell("CATALOG_NAME", place.catalog.to_owned());
    tell("DB_SCHEMA_NAME", place.schema.to_owned());
    tell("TABLE_NAME", place.table.to_owned());
    tell("TYPE_NAME", sql_name(field.data_type()).to_owned());
    tell("IS_AUTO_INCREMENT", "0".to_owned());
    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8);
    tell("IS_CASE_SENSITIVE", if is_text { "1" } else { "0" }.to_owned());
    tell("IS_READ_ONLY", "1".to_owned());
    tell("IS_SEARCHABLE", "1".to_owned());
    if let Some((precision, scale)) = size_of(field.data_type()) {
        tell("PRECISION", precision.to_string());
        tell("SCALE", scale.to_string());
    }
    field.clone().with_metadata(metadata)
}

/// The type's name in our SQL.
fn sql_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 | DataType::UInt8 => "TINYINT",
        DataType::Int16 | DataType::UInt16 => "SMALLINT",
        DataType::Int32 | DataType::UInt32 => "INTEGER",
        DataType::Int64 | DataType::UInt64 => "BIGINT",
        DataType::Float16 | DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "DECIMAL",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "BYTEA",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(..) => "TIMESTAMP",
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL",
        DataType::Dictionary(_, value) => sql_name(value),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "ARRAY",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        _ => "OTHER",
    }
}

fn size_of(data_type: &DataType) -> Option<(i32, i32)> {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Some((i32::from(*precision), i32::from(*scale)))
        }
        DataType::Int64 | DataType::UInt64 => Some((19, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        _ => None,
    }
}

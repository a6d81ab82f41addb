//! Keys: the database has none, so every question about them is answered with no rows.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// The columns of GetPrimaryKeys.
pub(in crate::flight) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name"),
        text("db_schema_name"),
        required("table_name", DataType::Utf8),
        required("column_name", DataType::Utf8),
        text("key_name"),
        required("key_sequence", DataType::Int32),
    ]))
}

/// The columns of GetExportedKeys, GetImportedKeys and GetCrossReference.
pub(in crate::flight) fn foreign_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name"),
        text("pk_db_schema_name"),
        required("pk_table_name", DataType::Utf8),
        required("pk_column_name", DataType::Utf8),
        text("fk_catalog_name"),
        text("fk_db_schema_name"),
        required("fk_table_name", DataType::Utf8),
        required("fk_column_name", DataType::Utf8),
        required("key_sequence", DataType::Int32),
        text("fk_key_name"),
        text("pk_key_name"),
        required("update_rule", DataType::UInt8),
        required("delete_rule", DataType::UInt8),
    ]))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

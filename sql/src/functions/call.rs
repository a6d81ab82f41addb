//! How the engine tells calls of a table function apart.

use arrow::datatypes::{Schema, SchemaRef};
use std::sync::Arc;

/// The key in the metadata of a schema.
const CALL: &str = "habitue.call";

/// The schema, marked with the call that it belongs to.
///
/// The engine takes two scans for the same when their names and schemas are equal, and answers one
/// of them for both; the name of a table function does not hold its arguments, so its schema must.
pub(crate) fn marked_with_call(schema: &Schema, call: impl Into<String>) -> SchemaRef {
    let mut metadata = schema.metadata().clone();
    metadata.insert(CALL.to_owned(), call.into());
    Arc::new(schema.clone().with_metadata(metadata))
}

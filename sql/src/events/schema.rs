//! The columns of `events` as queries see them.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use habitue_storage::catalog::Catalog;
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID, file_schema};
use std::sync::Arc;

/// The columns that are read from data files.
///
/// Text is read as views: the engine groups, joins and compares them fastest, and its functions
/// treat them alike, whether a column is dictionary-encoded in the file or not. Numbers that people
/// see are BIGINT.
pub(crate) fn stored_schema(catalog: &Catalog) -> SchemaRef {
    let names = catalog.namespaces.iter().map(|namespace| namespace.name.as_str());
    let fields = file_schema(names).fields().iter().map(shown).collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

/// All columns: those of the files, then the customer.
pub(crate) fn events_schema(catalog: &Catalog) -> SchemaRef {
    let mut fields = stored_schema(catalog).fields().to_vec();
    fields.push(Arc::new(Field::new(CUSTOMER_ID, DataType::Int64, true)));
    Arc::new(Schema::new(fields))
}

fn shown(field: &Arc<Field>) -> Arc<Field> {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::Dictionary(..) => DataType::Utf8View,
        _ if field.name() == IDENTIFIER_ID => DataType::Int64,
        other => other.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

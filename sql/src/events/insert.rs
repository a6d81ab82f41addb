//! Rows of a query become events.

use crate::error::{Error, Result};
use crate::session::Answer;
use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::TryStreamExt;
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID};
use habitue_storage::ingest::{IngestOptions, IngestSummary};
use habitue_storage::store::Store;
use std::collections::HashSet;
use std::sync::Arc;

/// Where the rows of an INSERT come from, for people who read rejected rows.
const SOURCE: &str = "INSERT INTO events";

/// Takes in all rows in one commit; `columns` are the names of the query's columns, if they are not
/// its own.
pub(crate) async fn insert(
    store: &Store,
    columns: Option<Vec<String>>,
    answer: Answer,
) -> Result<IngestSummary> {
    let schema = named(&answer.schema, columns)?;
    let received_at = store.bucket().local_now();
    let mut ingest = store.begin_ingest(IngestOptions::new(SOURCE, received_at)).await?;
    let mut rows = answer.stream;
    let mut first_row = 1;
    while let Some(batch) = rows.try_next().await? {
        let columns = batch.columns().iter().map(known_type).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns);
        let batch = batch.map_err(|error| Error::from_datafusion(error.into(), ""))?;
        ingest.append(&batch, first_row).await?;
        first_row += batch.num_rows() as u64;
    }
    Ok(ingest.commit().await?)
}

/// The columns under the names that the statement gives them.
fn named(schema: &SchemaRef, columns: Option<Vec<String>>) -> Result<SchemaRef> {
    let own = || schema.fields().iter().map(|field| field.name().clone()).collect();
    let names: Vec<String> = columns.unwrap_or_else(own);
    if names.len() != schema.fields().len() {
        let came = schema.fields().len();
        let reason = format!("{} columns are named, the query has {came}", names.len());
        return Err(Error::invalid("INSERT INTO events", reason));
    }
    let mut seen = HashSet::new();
    for name in &names {
        if name == CUSTOMER_ID || name == IDENTIFIER_ID {
            let reason = "it follows from the identifiers of the event; leave it out";
            return Err(Error::invalid(format!("column '{name}'"), reason));
        }
        if !seen.insert(name) {
            return Err(Error::invalid(format!("column '{name}'"), "it comes twice"));
        }
    }
    let fields = schema.fields().iter().zip(&names).map(|(field, name)| {
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            known => known.clone(),
        };
        Field::new(name, data_type, true)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// A column of nothing but NULL literals has no type; as text it is still nothing.
fn known_type(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Null => new_null_array(&DataType::Utf8, column.len()),
        _ => column.clone(),
    }
}

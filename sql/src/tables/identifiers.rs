//! `identifiers`: what people are known by, and to whom it belongs.

use crate::error::{Error, Result};
use crate::functions::marked_with_call;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{conformed, optional, required, schema};
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID, timestamp_type};
use std::sync::Arc;

/// The identifiers of everybody or of one customer.
#[derive(Debug)]
pub(crate) struct IdentifierRows {
    customer: Option<u64>,
}

impl IdentifierRows {
    pub(crate) fn all() -> Self {
        Self { customer: None }
    }

    pub(crate) fn of_customer(customer: u64) -> Self {
        Self { customer: Some(customer) }
    }

    fn wanted(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(customer) = self.customer else {
            return Ok(batch);
        };
        let customers = batch.column(3).as_primitive::<Int64Type>();
        let wanted = i64::try_from(customer).unwrap_or(i64::MAX);
        let is_wanted: BooleanArray =
            customers.iter().map(|customer| Some(customer == Some(wanted))).collect();
        filter_record_batch(&batch, &is_wanted)
            .map_err(|error| Error::from_datafusion(error.into(), ""))
    }
}

fn stored_schema() -> SchemaRef {
    schema([
        required(IDENTIFIER_ID, DataType::Int64),
        required("namespace", DataType::Utf8),
        required("value", DataType::Utf8),
        optional("first_seen", timestamp_type()),
        required("state", DataType::Utf8),
    ])
}

fn with_customers(batch: &RecordBatch, pinned: &Pinned, schema: SchemaRef) -> Result<RecordBatch> {
    let map = pinned.identities().as_slice();
    let identifiers = batch.column(0).as_primitive::<Int64Type>().values();
    let customers = identifiers.iter().map(|&identifier| {
        let place = usize::try_from(identifier).ok()?;
        map.get(place).map(|&customer| i64::from(customer))
    });
    let customers: ArrayRef = Arc::new(customers.collect::<Int64Array>());
    let columns = [batch.column(0), batch.column(1), batch.column(2)].map(Arc::clone);
    let mut columns = columns.to_vec();
    columns.push(customers);
    columns.extend([batch.column(3).clone(), batch.column(4).clone()]);
    RecordBatch::try_new(schema, columns).map_err(|error| Error::from_datafusion(error.into(), ""))
}

#[async_trait]
impl SnapshotRows for IdentifierRows {
    fn schema(&self) -> SchemaRef {
        let schema = schema([
            required(IDENTIFIER_ID, DataType::Int64),
            required("namespace", DataType::Utf8),
            required("value", DataType::Utf8),
            optional(CUSTOMER_ID, DataType::Int64),
            optional("first_seen", timestamp_type()),
            required("state", DataType::Utf8),
        ]);
        match self.customer {
            Some(customer) => marked_with_call(&schema, format!("identifiers_of({customer})")),
            None => schema,
        }
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let batches = pinned.store().identifier_batches(pinned.snapshot()).await?;
        let batches = conformed(&batches, &stored_schema())?;
        let batches =
            batches.iter().map(|batch| self.wanted(with_customers(batch, pinned, self.schema())?));
        batches.collect()
    }
}

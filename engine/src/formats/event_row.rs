//! One event as text cells, and the batch that grows out of them.

use super::{Block, Reject, RunBuilder};
use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::borrow::Cow;
use std::sync::Arc;

/// The columns of an incoming event for some identifier namespaces; all are text.
#[derive(Clone, Debug)]
pub(super) struct EventColumns {
    schema: SchemaRef,
    properties: usize,
}

/// The cells of one event, by the places of [`EventColumns`].
#[derive(Debug, Default)]
pub(super) struct EventRow<'a> {
    pub cells: Vec<Option<Cow<'a, str>>>,
}

impl EventColumns {
    /// The columns that every event may have and one per namespace.
    pub fn new(namespaces: &[String]) -> Self {
        let before = ["event_id", "ts", "received_at", "event", "channel", "source", "campaign"];
        let after = ["amount", "currency", "order_id", "product_id", "quantity", "properties"];
        let names = before.into_iter().chain(namespaces.iter().map(String::as_str)).chain(after);
        let fields: Vec<_> = names.map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let properties = fields.len() - 1;
        Self { schema: Arc::new(Schema::new(fields)), properties }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.schema.fields().iter().position(|field| field.name() == name)
    }

    /// The place of `properties`.
    pub fn properties(&self) -> usize {
        self.properties
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.schema.fields().len()
    }
}

impl EventRow<'_> {
    /// Makes every cell NULL.
    pub fn clear(&mut self, columns: &EventColumns) {
        self.cells.clear();
        self.cells.resize(columns.len(), None);
    }
}

/// Collects rows and rejects into a [`Block`].
#[derive(Debug)]
pub(super) struct EventBlockBuilder {
    schema: SchemaRef,
    builders: Vec<StringBuilder>,
    numbers: RunBuilder,
    rejects: Vec<Reject>,
}

impl EventBlockBuilder {
    /// An empty block; `rows` is a guess that saves copying.
    pub fn new(columns: &EventColumns, rows: usize) -> Self {
        let builders = (0..columns.len()).map(|_| StringBuilder::with_capacity(rows, rows * 8));
        Self {
            schema: columns.schema().clone(),
            builders: builders.collect(),
            numbers: RunBuilder::default(),
            rejects: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, number: u64, row: &EventRow<'_>) {
        for (builder, cell) in self.builders.iter_mut().zip(&row.cells) {
            builder.append_option(cell.as_deref());
        }
        self.numbers.push(number);
    }

    /// Adds a line that cannot be read.
    pub fn reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }

    /// The block.
    pub fn finish(mut self) -> crate::Result<Block> {
        if self.numbers.rows == 0 {
            return Ok(Block { rejects: self.rejects, ..Block::default() });
        }
        let columns =
            self.builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let batch = RecordBatch::try_new(self.schema, columns.collect())?;
        Ok(Block { batch: Some(batch), runs: self.numbers.runs, rejects: self.rejects })
    }
}

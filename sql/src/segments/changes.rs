//! `segment_changes(name, from_version)`: who entered and who left since a version.
//!
//! ```sql
//! SELECT customer_id, change, version FROM segment_changes('vip', 1);
//! ```
//!
//! One row for each change in each version after `from_version`, as the refreshes saw them.

use crate::error::Error;
use crate::functions::marked_with_call;
use crate::segments::argument::{number_literal, text_literal};
use crate::segments::members::customers_today;
use crate::session::Pinned;
use crate::tables::{SnapshotRows, SnapshotTable};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use habitue_storage::event::CUSTOMER_ID;
use habitue_storage::log::action::{ObjectRef, SegmentVersion};
use std::sync::Arc;

/// The table function.
#[derive(Debug)]
pub(crate) struct ChangesFunction {
    pinned: Arc<Pinned>,
}

impl ChangesFunction {
    pub(crate) fn new(pinned: &Arc<Pinned>) -> Self {
        Self { pinned: pinned.clone() }
    }
}

impl TableFunctionImpl for ChangesFunction {
    fn call_with_args(&self, call: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let refused = || {
            let reason = "a segment's name and a version number are wanted, \
                          like segment_changes('vip', 1)";
            Error::invalid("argument of segment_changes", reason)
        };
        let [name, from] = call.exprs() else {
            return Err(refused().into());
        };
        let name = text_literal(name).ok_or_else(refused)?;
        let from_version = number_literal(from).ok_or_else(refused)?;
        let id = self.pinned.segment(name)?.id;
        let versions = self.pinned.snapshot().segment_versions.get(&id);
        let versions = versions.into_iter().flatten();
        let versions = versions.filter(|version| version.number > from_version).cloned().collect();
        let rows = Arc::new(Changes {
            call: format!("segment_changes({name:?}, {from_version})"),
            versions,
        });
        Ok(Arc::new(SnapshotTable::new(self.pinned.clone(), rows)))
    }
}

/// The changes of some versions of a segment.
#[derive(Debug)]
struct Changes {
    call: String,
    versions: Vec<SegmentVersion>,
}

impl Changes {
    async fn batch(
        &self,
        pinned: &Pinned,
        version: &SegmentVersion,
        object: &ObjectRef,
        change: &str,
    ) -> crate::Result<RecordBatch> {
        let stored = pinned.store().segment_bitmap(object).await?;
        let customers = match pinned.snapshot().identity_version <= version.computed_at {
            true => stored.as_ref().clone(),
            false => customers_today(&stored, pinned.identities()),
        };
        let rows = usize::try_from(customers.len()).unwrap_or(usize::MAX);
        let number = i64::try_from(version.number).unwrap_or(i64::MAX);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(customers.iter().map(i64::from))),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(change, rows))),
            Arc::new(Int64Array::from_value(number, rows)),
        ];
        let batch = RecordBatch::try_new(self.schema(), columns);
        batch.map_err(|error| Error::from_datafusion(error.into(), ""))
    }
}

#[async_trait]
impl SnapshotRows for Changes {
    fn schema(&self) -> SchemaRef {
        let schema = Schema::new(vec![
            Field::new(CUSTOMER_ID, DataType::Int64, false),
            Field::new("change", DataType::Utf8, false),
            Field::new("version", DataType::Int64, false),
        ]);
        marked_with_call(&schema, self.call.as_str())
    }

    async fn rows(
        &self,
        pinned: &Pinned,
        _options: &ConfigOptions,
    ) -> crate::Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for version in &self.versions {
            batches.push(self.batch(pinned, version, &version.entered, "entered").await?);
            batches.push(self.batch(pinned, version, &version.left, "left").await?);
        }
        Ok(batches)
    }
}

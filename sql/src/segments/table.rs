//! `segment(name[, version])`: the members of a segment, one row each.
//!
//! ```sql
//! SELECT customer_id FROM segment('vip');
//! ```

use crate::error::Error;
use crate::functions::marked_with_call;
use crate::segments::argument::named_version;
use crate::segments::scan::SegmentScanExec;
use crate::session::{Pinned, SegmentKey};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use habitue_storage::event::CUSTOMER_ID;
use std::sync::Arc;

/// The table function.
#[derive(Debug)]
pub(crate) struct SegmentFunction {
    pinned: Arc<Pinned>,
}

impl SegmentFunction {
    pub(crate) fn new(pinned: &Arc<Pinned>) -> Self {
        Self { pinned: pinned.clone() }
    }
}

impl TableFunctionImpl for SegmentFunction {
    fn call_with_args(&self, call: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let key = named_version("segment", call.exprs())?;
        SegmentTable::new(&self.pinned, key).map(|table| Arc::new(table) as _).map_err(Into::into)
    }
}

/// The members of one version of a segment, ascending.
#[derive(Debug)]
pub(crate) struct SegmentTable {
    pinned: Arc<Pinned>,
    key: SegmentKey,
    schema: SchemaRef,
}

impl SegmentTable {
    pub(crate) fn new(pinned: &Arc<Pinned>, key: SegmentKey) -> Result<Self, Error> {
        if pinned.members(&key).is_none() {
            pinned.segment_version(&key.0, key.1)?;
        }
        let field = Field::new(CUSTOMER_ID, DataType::Int64, false);
        let schema = marked_with_call(&Schema::new(vec![field]), format!("segment{key:?}"));
        Ok(Self { pinned: pinned.clone(), key, schema })
    }

    /// Which segment, and which version of it.
    pub(crate) fn key(&self) -> &SegmentKey {
        &self.key
    }

    /// The snapshot that it reads.
    pub(crate) fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }
}

#[async_trait]
impl TableProvider for SegmentTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let members = self.pinned.members(&self.key)?;
        let rows = usize::try_from(members.today().len()).ok()?;
        Some(Statistics {
            num_rows: Precision::Exact(rows),
            total_byte_size: Precision::Exact(rows * size_of::<i64>()),
            column_statistics: vec![ColumnStatistics {
                null_count: Precision::Exact(0),
                distinct_count: Precision::Exact(rows),
                ..ColumnStatistics::new_unknown()
            }],
        })
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let members = self.pinned.load_segment(&self.key).await?;
        let wanted = limit.unwrap_or(usize::MAX);
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let key = self.key.clone();
        Ok(Arc::new(SegmentScanExec::rows(key, members, &schema, wanted)))
    }
}

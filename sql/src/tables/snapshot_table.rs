//! A table whose rows are computed from the snapshot when it is read.

use crate::session::Pinned;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;

/// Computes the rows of a table.
#[async_trait]
pub(crate) trait SnapshotRows: fmt::Debug + Send + Sync {
    /// The columns.
    fn schema(&self) -> SchemaRef;

    /// The rows, for a session with these options.
    async fn rows(
        &self,
        pinned: &Pinned,
        options: &ConfigOptions,
    ) -> crate::Result<Vec<RecordBatch>>;
}

/// The table of some rows over one snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    pinned: Arc<Pinned>,
    rows: Arc<dyn SnapshotRows>,
}

impl SnapshotTable {
    pub(crate) fn new(pinned: Arc<Pinned>, rows: Arc<dyn SnapshotRows>) -> Self {
        Self { pinned, rows }
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = self.rows.rows(&self.pinned, state.config_options()).await?;
        let schema = self.rows.schema();
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, projection.cloned())?)
    }
}

//! `system.cache`: the decoded columns that the process holds in memory.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{bigints, one_batch, required, schema, texts};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;

#[derive(Debug)]
pub(super) struct CacheRows;

#[async_trait]
impl SnapshotRows for CacheRows {
    fn schema(&self) -> SchemaRef {
        schema([
            required("path", DataType::Utf8),
            required("column", DataType::Utf8),
            required("rows", DataType::Int64),
            required("bytes", DataType::Int64),
            required("uses", DataType::Int64),
            required("cache_bytes_max", DataType::Int64),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let kept = pinned.hot().kept();
        let columns = vec![
            texts(kept.iter().map(|kept| kept.path.as_ref())),
            texts(kept.iter().map(|kept| kept.column.as_ref())),
            bigints(kept.iter().map(|kept| kept.rows)),
            bigints(kept.iter().map(|kept| kept.bytes as u64)),
            bigints(kept.iter().map(|kept| kept.uses)),
            bigints(kept.iter().map(|_| pinned.hot().bytes_max() as u64)),
        ];
        one_batch(self.schema(), columns)
    }
}

//! `system.commits`: the versions of the database.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{bigints, one_batch, required, schema, texts, time, times, word};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;

#[derive(Debug)]
pub(super) struct Commits;

#[async_trait]
impl SnapshotRows for Commits {
    fn schema(&self) -> SchemaRef {
        schema([
            required("version", DataType::Int64),
            time("committed_at"),
            required("operation", DataType::Utf8),
            required("events_added", DataType::Int64),
            required("actions", DataType::Int64),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let version = pinned.snapshot().version;
        let mut commits = pinned.store().commits().await?;
        commits.retain(|commit| commit.version <= version);
        let columns = vec![
            bigints(commits.iter().map(|commit| commit.version)),
            times(commits.iter().map(|commit| commit.committed_at_us)),
            texts(commits.iter().map(|commit| word(&commit.operation))),
            bigints(commits.iter().map(|commit| commit.events_added)),
            bigints(commits.iter().map(|commit| commit.actions)),
        ];
        one_batch(self.schema(), columns)
    }
}

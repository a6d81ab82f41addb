//! `system.settings`: what `SET habitue.…` changes, and what the database remembers.

use crate::error::Result;
use crate::session::{Pinned, Settings};
use crate::tables::SnapshotRows;
use crate::tables::columns::{one_batch, optional, optional_texts, required, schema, texts};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::common::config::ExtensionOptions;
use datafusion::config::ConfigOptions;

#[derive(Debug)]
pub(super) struct SettingRows;

#[async_trait]
impl SnapshotRows for SettingRows {
    fn schema(&self) -> SchemaRef {
        schema([
            required("name", DataType::Utf8),
            optional("value", DataType::Utf8),
            required("scope", DataType::Utf8),
            required("description", DataType::Utf8),
        ])
    }

    async fn rows(&self, pinned: &Pinned, options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let mut rows = Vec::new();
        for entry in Settings::of(options).entries() {
            rows.push((entry.key, entry.value, "session", entry.description));
        }
        for (name, value) in &pinned.catalog().settings {
            rows.push((name.clone(), Some(value.clone()), "database", ""));
        }
        let cache = pinned.hot().bytes_max().to_string();
        let about =
            "decoded columns take at most so many bytes of memory; an option of the process";
        rows.push(("habitue.cache_bytes_max".into(), Some(cache), "process", about));
        let columns = vec![
            texts(rows.iter().map(|row| row.0.as_str())),
            optional_texts(rows.iter().map(|row| row.1.as_deref())),
            texts(rows.iter().map(|row| row.2)),
            texts(rows.iter().map(|row| row.3)),
        ];
        one_batch(self.schema(), columns)
    }
}

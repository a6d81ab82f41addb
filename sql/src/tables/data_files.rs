//! `system.data_files`: the Parquet files that the events of a snapshot lie in.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{
    bigints, one_batch, optional, optional_bigints, required, schema, texts, time, times, word,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;
use habitue_storage::log::action::SortedBy;

#[derive(Debug)]
pub(super) struct DataFiles;

#[async_trait]
impl SnapshotRows for DataFiles {
    fn schema(&self) -> SchemaRef {
        schema([
            required("path", DataType::Utf8),
            required("rows", DataType::Int64),
            required("bytes", DataType::Int64),
            time("ts_min"),
            time("ts_max"),
            required("partition_unit", DataType::Utf8),
            time("partition_start"),
            optional("event_names", DataType::Int64),
            required("sorted_by", DataType::Utf8),
            required("ingested_from", DataType::Int64),
            required("ingested_to", DataType::Int64),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let files = || pinned.snapshot().data_files.values();
        let names = |names: &Vec<String>| names.len() as u64;
        let columns = vec![
            texts(files().map(|file| file.object.path.as_str())),
            bigints(files().map(|file| file.rows)),
            bigints(files().map(|file| file.object.bytes)),
            times(files().map(|file| file.ts_min_us)),
            times(files().map(|file| file.ts_max_us)),
            texts(files().map(|file| word(&file.partition_unit))),
            times(files().map(|file| file.partition_start_us)),
            optional_bigints(files().map(|file| file.event_names.as_ref().map(names))),
            texts(files().map(|file| sorted_by(file.sorted_by))),
            bigints(files().map(|file| file.ingested_from)),
            bigints(files().map(|file| file.ingested_to)),
        ];
        one_batch(self.schema(), columns)
    }
}

fn sorted_by(order: SortedBy) -> String {
    match order {
        SortedBy::Identifier => "identifier".into(),
        SortedBy::Customer { identity_version } => {
            format!("customer as of version {identity_version}")
        }
    }
}

//! `system.segment_versions`: every version of every segment, with who came and went.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{
    bigints, one_batch, optional, optional_bigints, required, schema, texts, time, times,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;
use habitue_storage::log::action::SegmentVersion;

#[derive(Debug)]
pub(super) struct SegmentVersions;

#[async_trait]
impl SnapshotRows for SegmentVersions {
    fn schema(&self) -> SchemaRef {
        schema([
            required("name", DataType::Utf8),
            required("version", DataType::Int64),
            required("customers", DataType::Int64),
            required("entered", DataType::Int64),
            required("left", DataType::Int64),
            required("computed_at", DataType::Int64),
            time("refreshed_at"),
            optional("customers_evaluated", DataType::Int64),
            optional("new_events", DataType::Int64),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let all = named_versions(pinned);
        let computations = || all.iter().map(|(_, version)| version.computation.as_ref());
        let columns = vec![
            texts(all.iter().map(|(name, _)| name)),
            bigints(all.iter().map(|(_, version)| version.number)),
            bigints(all.iter().map(|(_, version)| version.customers)),
            bigints(all.iter().map(|(_, version)| version.customers_entered)),
            bigints(all.iter().map(|(_, version)| version.customers_left)),
            bigints(all.iter().map(|(_, version)| version.computed_at)),
            times(all.iter().map(|(_, version)| version.refreshed_at_us)),
            optional_bigints(computations().map(|known| known?.customers_evaluated)),
            optional_bigints(computations().map(|known| known?.new_events)),
        ];
        one_batch(self.schema(), columns)
    }
}

fn named_versions(pinned: &Pinned) -> Vec<(&str, &SegmentVersion)> {
    let versions = &pinned.snapshot().segment_versions;
    let segments = pinned.catalog().segments.iter();
    segments
        .filter_map(|(name, segment)| Some((name, versions.get(&segment.id)?)))
        .flat_map(|(name, versions)| versions.iter().map(|version| (name.as_str(), version)))
        .collect()
}

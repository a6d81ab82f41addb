//! `system.segments`: the segments with their newest version.

use crate::error::Result;
use crate::session::Pinned;
use crate::tables::SnapshotRows;
use crate::tables::columns::{
    one_batch, optional, optional_bigints, optional_texts, optional_times, required, schema, texts,
    word,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::config::ConfigOptions;
use habitue_storage::catalog::{SegmentDefinition, SegmentKind};
use habitue_storage::event::timestamp_type;
use habitue_storage::log::action::SegmentVersion;

/// The rows, also for `SHOW SEGMENTS`.
#[derive(Debug)]
pub(crate) struct SegmentRows;

#[async_trait]
impl SnapshotRows for SegmentRows {
    fn schema(&self) -> SchemaRef {
        schema([
            required("name", DataType::Utf8),
            required("kind", DataType::Utf8),
            optional("customers", DataType::Int64),
            optional("version", DataType::Int64),
            optional("refreshed_at", timestamp_type()),
            optional("refresh", DataType::Utf8),
            required("uses", DataType::Utf8),
            optional("comment", DataType::Utf8),
            required("definition", DataType::Utf8),
        ])
    }

    async fn rows(&self, pinned: &Pinned, _options: &ConfigOptions) -> Result<Vec<RecordBatch>> {
        let segments = || pinned.catalog().segments.iter();
        let versions = || segments().map(|(_, segment)| newest(pinned, segment.id));
        let columns = vec![
            texts(segments().map(|(name, _)| name)),
            texts(segments().map(|(_, segment)| word(&segment.kind))),
            optional_bigints(versions().map(|version| version.map(|version| version.customers))),
            optional_bigints(versions().map(|version| version.map(|version| version.number))),
            optional_times(versions().map(|version| version.map(|v| v.refreshed_at_us))),
            optional_texts(segments().map(|(_, segment)| refresh(pinned, segment))),
            texts(segments().map(|(_, segment)| segment.uses.join(", "))),
            optional_texts(segments().map(|(_, segment)| segment.comment.as_deref())),
            texts(segments().map(|(_, segment)| segment.sql.as_str())),
        ];
        one_batch(self.schema(), columns)
    }
}

/// Whom a refresh evaluates, and why everybody.
fn refresh(pinned: &Pinned, segment: &SegmentDefinition) -> Option<String> {
    if segment.kind == SegmentKind::Static {
        return Some("nobody: it is static".into());
    }
    let computation = newest(pinned, segment.id)?.computation.as_ref()?;
    Some(match computation.always_whole {
        None => "who changed".into(),
        Some(reason) => format!("everybody: it {}", reason.in_words()),
    })
}

fn newest(pinned: &Pinned, segment_id: u32) -> Option<&SegmentVersion> {
    pinned.snapshot().segment_versions.get(&segment_id)?.last()
}

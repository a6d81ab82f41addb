//! `SHOW SEGMENTS`: the segments with their newest version, like `system.segments`.

use crate::error::Result;
use crate::session::{Answer, Session};
use crate::statements::words::Words;
use crate::tables::{SegmentRows, SnapshotRows};
use arrow::datatypes::SchemaRef;

/// ```text
/// SHOW SEGMENTS
/// ```
pub(super) fn parse(words: &mut Words<'_>) -> bool {
    words.take(&["SHOW", "SEGMENTS"])
}

pub(super) fn schema() -> SchemaRef {
    SegmentRows.schema()
}

pub(super) async fn run(session: &Session) -> Result<Answer> {
    let query = session.query().await?;
    let options = session.context().copied_config();
    let batches = SegmentRows.rows(query.pinned(), options.options()).await?;
    Answer::of_batches(schema(), batches)
}

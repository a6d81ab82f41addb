//! Segments in queries: `segment(…)`, `in_segment(…)` and `segment_changes(…)`.

mod argument;
mod changes;
mod members;
mod membership;
pub(crate) mod query;
pub(crate) mod refresh;
mod row_customers;
mod scan;
mod table;

pub(crate) use argument::{number_literal, segment_key, text_literal};
pub(crate) use members::Members;
pub(crate) use membership::{IN_SEGMENT, is_in_segment};
pub(crate) use scan::SegmentScanExec;
pub(crate) use table::SegmentTable;

use crate::session::Pinned;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Registers the functions over the segments of one snapshot.
pub(crate) fn register(context: &SessionContext, pinned: &Arc<Pinned>) {
    context.register_udtf("segment", Arc::new(table::SegmentFunction::new(pinned)));
    context.register_udtf("segment_changes", Arc::new(changes::ChangesFunction::new(pinned)));
    context.register_udf(ScalarUDF::from(membership::InSegment::new(pinned.clone())));
}

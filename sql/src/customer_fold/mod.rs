//! Folds: what is computed while the events of customers come one after the other.
//!
//! ```text
//! event_paths, attribution   a fold per partition, then a sum over partitions
//! lookalike                  profiles per partition, then a ranking of all
//! ```
//!
//! A table function plans a [`FoldNode`] over a projection of its relation; its first column is the
//! customer, the second the time, if order matters. [`CustomerFoldExec`] asks for rows that are
//! spread by customer and sorted, which a [walk](crate::walk) is already and other relations are
//! made; the functions' own rules are in `habitue_udf`.

mod attribution;
mod event_paths;
mod exec;
mod labels;
mod lookalike;
mod node;
mod planner;
mod rows;

pub(crate) use attribution::AttributionFold;
pub(crate) use event_paths::PathFold;
pub(crate) use exec::CustomerFoldExec;
pub(crate) use node::{Fold, FoldNode};
pub(crate) use planner::FoldPlanner;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use rows::CustomerRows;

/// A fold that is under way, over the rows of one partition.
trait Folding: Send {
    /// The next rows; each customer's come side by side.
    fn add(&mut self, rows: &CustomerRows<'_>) -> Result<()>;

    /// About how many bytes are held.
    fn size(&self) -> usize;

    /// What the partition makes.
    fn finish(self: Box<Self>) -> Result<RecordBatch>;
}

//! Merging data files into files sorted by customer, in bounded memory.

mod options;

pub use options::{CompactionDepth, CompactionOptions, CompactionProgress, CompactionSummary};

//! Taking events in: rows of any shape become sorted data files and one commit.

mod conform;
mod options;

pub use options::{DuplicateRow, IngestOptions, IngestProgress, IngestSummary, RejectedRow};

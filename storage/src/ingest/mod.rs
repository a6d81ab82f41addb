//! Taking events in: rows of any shape become sorted data files and one commit.

mod arrivals;
mod chunk_columns;
mod conform;
mod event_ids;
mod id_filter;
mod intake;
mod numbering;
mod occurrence;
mod options;
mod rebase;
mod recent_ids;
mod seen;
mod session;
mod write;

pub use options::{DuplicateRow, IngestOptions, IngestProgress, IngestSummary, RejectedRow};
pub use session::Ingest;

//! Where customer events live, and how they stay correct.
//!
//! Parquet files of events, a dictionary of identifiers, links between them, segments of customers,
//! and one numbered commit log that says which of all these objects make up a version.

mod background;
pub mod bucket;
mod cache;
pub mod catalog;
pub mod compaction;
pub mod data_file;
pub mod dictionary;
pub mod differences;
pub mod error;
pub mod event;
pub mod frame;
pub mod garbage;
pub mod identity;
pub mod ingest;
pub mod layout;
pub mod log;
mod merge_plan;
mod parquet_object;
pub mod partition;
pub mod rejected;
pub mod segment;
mod side_by_side;
pub mod snapshot;
pub mod store;
pub mod verify;

pub use error::{Error, ErrorKind, Result};

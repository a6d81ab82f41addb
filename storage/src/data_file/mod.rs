//! Data files: Parquet files of events with an index each; paths are made by
//! [`layout`](crate::layout).

pub(crate) mod encode;
mod index;
mod properties;
pub(crate) mod read;
mod varint;

pub use index::{FileIndex, FileIndexBuilder, Group};
pub use properties::{PAGE_ROWS, ROW_GROUP_ROWS};
pub use read::read_columns;

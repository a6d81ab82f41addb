//! Data files: Parquet files of events with an index each.
//!
//! | object | path |
//! |---|---|
//! | Parquet | `data/<partition label>/<name>.parquet` |
//! | index | `data/<partition label>/<name>.index` |

mod index;
mod varint;

pub use index::{FileIndex, FileIndexBuilder, Group};

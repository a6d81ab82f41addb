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

use crate::error::Result;
use crate::frame::FrameKind;
use crate::identity::IdentityMap;
use crate::log::action::DataFile;
use crate::store::Store;
use std::sync::Arc;

impl FileIndex {
    /// Whether the rows are sorted by `(customer, ts)` under this map: each group is one customer,
    /// and customers ascend strictly. Rows without an identifier come last.
    pub fn is_sorted_under(&self, map: &IdentityMap) -> bool {
        self.is_sorted_by(|identifier| map.customer_of(identifier))
    }
}

impl Store {
    /// The index of a data file; kept in memory for the next time.
    ///
    /// # Errors
    /// What reading the index object says.
    pub async fn file_index(&self, file: &DataFile) -> Result<Arc<FileIndex>> {
        let load = async {
            let payload = self.bucket().read_framed(FrameKind::Index, &file.index).await?;
            let index = FileIndex::decode(&file.index.path, &payload, file.rows)?;
            let bytes = index.memory_bytes();
            Ok((index, bytes))
        };
        self.cached(&file.index.path, load).await
    }
}

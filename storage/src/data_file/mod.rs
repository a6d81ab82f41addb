//! Data files: Parquet files of events with an index each; paths are made by
//! [`layout`](crate::layout).

mod blocks;
mod checked_objects;
pub(crate) mod encode;
pub(crate) mod in_memory;
mod index;
pub(crate) mod index_object;
pub(crate) mod members;
mod properties;
pub(crate) mod read;
mod varint;

pub use index::{FileIndex, FileIndexBuilder, Group};
pub use members::{Member, MemberKind, Members, member_of_text_column, text_column};
pub use properties::{PAGE_ROWS, ROW_GROUP_ROWS};
pub use read::{Batches, DataFileReader, read_columns};

use self::blocks::BlockChecksums;
use self::index_object::IndexObject;
use crate::error::Result;
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
            let index = IndexObject::read(self.bucket(), file).await?.groups(file.rows)?;
            let bytes = index.memory_bytes();
            Ok((index, bytes))
        };
        self.cached(&file.index.path, load).await
    }

    /// The checksums of the blocks of a data file; kept in memory for the next time. `None` for a
    /// file of before there were any.
    pub(crate) async fn block_checksums(
        &self,
        file: &DataFile,
    ) -> Result<Option<Arc<BlockChecksums>>> {
        let load = async {
            let checksums = IndexObject::read(self.bucket(), file).await?.checksums.map(Arc::new);
            let bytes = checksums.as_ref().map_or(0, |checksums| checksums.memory_bytes());
            Ok((checksums, bytes))
        };
        let name = format!("{} checksums", file.index.path);
        Ok(self.cached(&name, load).await?.as_ref().clone())
    }
}

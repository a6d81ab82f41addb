//! Merging data files into files sorted by customer, in bounded memory.

mod options;

pub use options::{CompactionDepth, CompactionOptions, CompactionProgress, CompactionSummary};

use crate::error::{Error, Result};
use crate::store::Store;

impl Store {
    /// Merges data files into files sorted by customer. `on_progress` is called now and then.
    ///
    /// # Errors
    /// What reading and writing data files says. What was committed until then stays.
    pub async fn compact(
        &self,
        _options: CompactionOptions,
        _on_progress: impl FnMut(CompactionProgress) + Send,
    ) -> Result<CompactionSummary> {
        Err(Error::Internal("compaction is not built yet".into()))
    }
}

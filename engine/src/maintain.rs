//! What keeps a database fast and small: compaction, and garbage collection when asked for.
//!
//! Identity files are merged and checkpoints are written by the commits that make them due; neither
//! waits for maintenance.

use crate::engine::Engine;
use crate::error::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_storage::compaction::{
    CompactionDepth, CompactionOptions, CompactionProgress, CompactionSummary,
};
use habitue_storage::garbage::{GarbageOptions, GarbageReport};
use habitue_storage::verify::VerifyReport;
use std::fmt;

/// What maintenance should do; by default it brings every partition into its final order and
/// deletes nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> habitue::Result<()> {
/// use habitue::{Engine, MaintainRequest};
/// let engine = Engine::open("memory://").await?;
/// let summary = engine.maintain(MaintainRequest::default()).await?;
/// assert_eq!(summary.compaction.jobs, 0, "an empty database needs nothing");
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct MaintainRequest {
    depth: CompactionDepth,
    garbage: Option<GarbageOptions>,
    on_progress: Option<Box<dyn FnMut(CompactionProgress) + Send>>,
}

/// What maintenance did.
#[derive(Clone, Debug, Default)]
pub struct MaintainSummary {
    /// What was compacted.
    pub compaction: CompactionSummary,
    /// What was collected; `None` when that was not asked for.
    pub garbage: Option<GarbageReport>,
}

impl MaintainRequest {
    /// Which files compaction rewrites.
    #[must_use]
    pub fn depth(mut self, depth: CompactionDepth) -> Self {
        self.depth = depth;
        self
    }

    /// Also makes old versions unreadable and deletes the objects that only they need.
    #[must_use]
    pub fn collect_garbage(mut self, options: GarbageOptions) -> Self {
        self.garbage = Some(options);
        self
    }

    /// Calls this after every job of the compaction.
    #[must_use]
    pub fn on_progress(mut self, call: impl FnMut(CompactionProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(call));
        self
    }
}

impl fmt::Debug for MaintainRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MaintainRequest")
            .field("depth", &self.depth)
            .field("garbage", &self.garbage)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Merges data files, and collects garbage when asked. Readers and writers may go on.
    pub fn maintain(&self, request: MaintainRequest) -> BoxFuture<'_, Result<MaintainSummary>> {
        self.compact_and_collect(request).boxed()
    }

    async fn compact_and_collect(&self, request: MaintainRequest) -> Result<MaintainSummary> {
        let options = CompactionOptions {
            memory_bytes_max: self.resources.memory_bytes_max / 2,
            spill_dir: Some(self.resources.spill_dir.clone()),
            depth: request.depth,
            threads: self.resources.threads,
            ..CompactionOptions::default()
        };
        let mut on_progress = request.on_progress;
        let tell = move |progress| {
            if let Some(call) = &mut on_progress {
                call(progress);
            }
        };
        let compaction = self.store.compact(options, tell).await?;
        let garbage = match request.garbage {
            Some(options) => Some(self.store.collect_garbage(options).await?),
            None => None,
        };
        Ok(MaintainSummary { compaction, garbage })
    }

    /// Reads back every object that a readable version names, and checks what they say of each
    /// other. Damage is reported, not an error.
    pub fn verify(&self) -> BoxFuture<'_, Result<VerifyReport>> {
        async { Ok(self.store.verify().await?) }.boxed()
    }
}

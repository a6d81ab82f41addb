//! How far a long statement is, for whoever started it in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts that are done, of how many.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    parts: AtomicU64,
}

tokio::task_local! {
    static OF_STATEMENT: Arc<Progress>;
}

impl Progress {
    /// Between 0 and 1; absent when the statement has not said how many parts it has.
    #[cfg(feature = "flight")]
    pub(crate) fn fraction(&self) -> Option<f64> {
        let parts = self.parts.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed).min(parts);
        (parts > 0).then(|| done as f64 / parts as f64)
    }
}

/// Does work whose reports go to `progress`.
#[cfg(feature = "flight")]
pub(crate) async fn reported<T>(progress: &Arc<Progress>, work: impl Future<Output = T>) -> T {
    OF_STATEMENT.scope(progress.clone(), work).await
}

/// Says how far the statement is that runs here; nobody need listen.
pub(crate) fn report(done: usize, parts: usize) {
    let _ = OF_STATEMENT.try_with(|progress| {
        progress.parts.store(parts as u64, Ordering::Relaxed);
        progress.done.store(done as u64, Ordering::Relaxed);
    });
}

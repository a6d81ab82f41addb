//! Work that goes on beside the caller, and stops when nobody waits for it any more.

use crate::error::{Error, Result};
use tokio::task::JoinHandle;

/// Work in the background. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Background<T> {
    what: &'static str,
    task: JoinHandle<Result<T>>,
}

impl<T: Send + 'static> Background<T> {
    /// Begins work; `what` names it when it dies.
    pub(crate) fn begin(
        what: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Self {
        Self { what, task: tokio::spawn(work) }
    }

    /// Begins work that computes and does not wait.
    pub(crate) fn compute(
        what: &'static str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Self {
        Self { what, task: tokio::task::spawn_blocking(work) }
    }

    /// Waits for its answer.
    pub(crate) async fn answer(mut self) -> Result<T> {
        let what = self.what;
        let answer = (&mut self.task).await;
        answer.map_err(|error| Error::Internal(format!("{what} stopped: {error}")))?
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

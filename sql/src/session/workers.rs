//! Threads that nothing but long statements compute on.
//!
//! Work in the engine gives its thread back after each batch, which may take many milliseconds. A
//! short statement goes from thread to thread some dozens of times, so on the same threads it would
//! wait that often. On threads of their own the operating system gives short statements their part
//! of the processors at once.

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use futures::StreamExt;
use std::sync::{Arc, OnceLock};
use tokio::runtime::{Builder, Runtime};

/// Batches that were computed and are not read yet.
const AHEAD: usize = 2;

/// The threads; they start with the first long statement.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Absent when the system gives no more threads.
    runtime: OnceLock<Option<Runtime>>,
}

impl Workers {
    /// Computes the rows of a plan on these threads. What is in `held` is dropped when that ends,
    /// however it ends; dropping the rows ends it.
    pub(crate) fn execute(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        held: impl Send + 'static,
    ) -> Result<SendableRecordBatchStream> {
        let mut rows = RecordBatchReceiverStream::builder(plan.schema(), AHEAD);
        let sender = rows.tx();
        let work = async move {
            let _held = held;
            let mut batches = execute_stream(plan, context)?;
            while let Some(batch) = batches.next().await {
                if sender.send(batch).await.is_err() {
                    return Ok(()); // Nobody reads on.
                }
            }
            Ok::<_, DataFusionError>(())
        };
        match self.runtime.get_or_init(start) {
            Some(runtime) => rows.spawn_on(work, runtime.handle()),
            None => rows.spawn(work),
        }
        Ok(rows.build())
    }
}

fn start() -> Option<Runtime> {
    Builder::new_multi_thread().thread_name("long statements").enable_all().build().ok()
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A runtime may not wait for its threads where a server is closed.
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

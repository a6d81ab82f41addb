//! The table `input` of an ingest's SELECT: the blocks of a reader, streamed once and in order.

use crate::error::Error;
use crate::formats::{Block, Blocks};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;
use habitue_storage::ingest::RejectedRow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// So many blocks' rejects may wait to be stored.
const REJECTS_WAITING_MAX: usize = 2;

/// The ends of the table that the ingest holds.
pub(super) struct InputEnds {
    /// The lines that could not be read, as they are met.
    pub rejects: mpsc::Receiver<Vec<RejectedRow>>,
    /// Why reading failed; the query engine would pack it up.
    pub failure: Arc<Mutex<Option<Error>>>,
}

/// Makes the table.
pub(super) fn input_table(
    schema: SchemaRef,
    blocks: Blocks,
) -> Result<(StreamingTable, InputEnds)> {
    let (sender, rejects) = mpsc::channel(REJECTS_WAITING_MAX);
    let failure = Arc::default();
    let feed = Feed { blocks, rejects: sender, failure: Arc::clone(&failure) };
    let partition = InputPartition { schema: schema.clone(), feed: Mutex::new(Some(feed)) };
    let table = StreamingTable::try_new(schema, vec![Arc::new(partition)])?;
    Ok((table, InputEnds { rejects, failure }))
}

impl InputEnds {
    /// Why reading failed, if it did.
    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Feed {
    blocks: Blocks,
    rejects: mpsc::Sender<Vec<RejectedRow>>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Feed {
    /// The rows of the next block that has any.
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            let block = match self.blocks.next().await? {
                Ok(block) => block,
                Err(error) => return Some(Err(self.fail(error))),
            };
            let Block { batch, rejects, .. } = block;
            if !rejects.is_empty() && self.rejects.send(rejects).await.is_err() {
                return None;
            }
            if let Some(batch) = batch {
                return Some(Ok(batch));
            }
        }
    }

    fn fail(&self, error: Error) -> DataFusionError {
        let text = error.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        DataFusionError::Execution(text)
    }
}

struct InputPartition {
    schema: SchemaRef,
    /// Taken by the first scan: standard input cannot be read twice, and no input is.
    feed: Mutex<Option<Feed>>,
}

impl fmt::Debug for InputPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("input")
    }
}

impl PartitionStream for InputPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = match feed {
            Some(feed) => futures::stream::unfold(feed, |mut feed| async move {
                let batch = feed.next().await?;
                Some((batch, feed))
            })
            .boxed(),
            None => {
                let twice = "the table input can be read only once; name it once in the SELECT";
                let error = DataFusionError::Plan(twice.into());
                futures::stream::once(async { Err(error) }).boxed()
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

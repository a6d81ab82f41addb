//! What the statements of a session may cost.

use crate::error::Error;
use crate::session::{Rights, Turns};
use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How one session differs from the others of its database.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// What its statements may do.
    pub rights: Rights,
    /// Its statements together hold no more memory than this; the database's own limit holds too.
    pub memory_bytes_max: Option<usize>,
    /// How long one statement may compute, the reading of its answer included. A commit that has
    /// begun is not interrupted.
    pub statement_time_max: Option<Duration>,
    /// How many rows one query may answer.
    pub rows_max: Option<u64>,
    /// What its statements wait for before they compute.
    pub turns: Option<Turns>,
}

impl Default for SessionOptions {
    /// Everything is allowed, without limits.
    fn default() -> Self {
        Self {
            rights: Rights::all(),
            memory_bytes_max: None,
            statement_time_max: None,
            rows_max: None,
            turns: None,
        }
    }
}

/// When a statement must have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// Counts from this moment.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    fn missed(self) -> Error {
        Error::TimedOut { limit: self.limit }
    }

    /// The answer of the work, if it comes in time; otherwise the work is dropped.
    pub(crate) async fn hold<T>(
        self,
        work: impl Future<Output = crate::Result<T>>,
    ) -> crate::Result<T> {
        match tokio::time::timeout_at(self.at, work).await {
            Ok(answer) => answer,
            Err(_) => Err(self.missed()),
        }
    }
}

/// The rows until the deadline, then an error; what computes them is dropped with it.
pub(crate) fn until(
    deadline: Deadline,
    rows: SendableRecordBatchStream,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let rows = stream::unfold(Some(rows), move |rows| async move {
        let mut rows = rows?;
        match tokio::time::timeout_at(deadline.at, rows.next()).await {
            Ok(batch) => batch.map(|batch| (batch, Some(rows))),
            Err(_) => Some((Err(deadline.missed().into()), None)),
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

/// The rows, and an error instead of the first batch that goes beyond the limit.
pub(crate) fn at_most(rows_max: u64, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let counted = rows.scan(0_u64, move |answered, batch| {
        let batch = batch.and_then(|batch| within(rows_max, answered, batch));
        futures::future::ready(Some(batch))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, counted))
}

fn within(rows_max: u64, answered: &mut u64, batch: RecordBatch) -> Result<RecordBatch> {
    *answered += batch.num_rows() as u64;
    match *answered > rows_max {
        true => Err(Error::TooManyRows { limit: rows_max }.into()),
        false => Ok(batch),
    }
}

/// The memory of one session, taken from that of the database.
pub(crate) struct SessionMemory {
    shared: Arc<dyn MemoryPool>,
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl SessionMemory {
    pub(crate) fn new(shared: Arc<dyn MemoryPool>, bytes_max: usize) -> Self {
        Self { shared, bytes_max, bytes: AtomicUsize::new(0) }
    }

    fn exhausted(&self, consumer: &str, additional: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{consumer} wanted {additional} more bytes. session_limit={}, session_holds={}",
            self.bytes_max,
            self.bytes.load(Ordering::Relaxed),
        ))
    }
}

impl fmt::Debug for SessionMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SessionMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionMemory({} of {})", self.reserved(), self.bytes_max)
    }
}

impl MemoryPool for SessionMemory {
    fn name(&self) -> &str {
        "session"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
        self.bytes.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let grown = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
            bytes.checked_add(additional).filter(|bytes| *bytes <= self.bytes_max)
        });
        if grown.is_err() {
            return Err(self.exhausted(reservation.consumer().name(), additional));
        }
        let shared = self.shared.try_grow(reservation, additional);
        if shared.is_err() {
            self.bytes.fetch_sub(additional, Ordering::Relaxed);
        }
        shared
    }

    fn reserved(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

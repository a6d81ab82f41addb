//! Streams of a running statement: what they hold is given back when they end, however they end.

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use tokio::sync::watch;
use tonic::Status;

/// What DoGet answers.
pub(super) type FlightStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;
/// Rows on their way to the wire.
pub(super) type RowStream = BoxStream<'static, Result<RecordBatch, Status>>;

/// What a running statement holds, and by what it is told to stop.
pub(super) struct RunGuard {
    cancelled: watch::Receiver<bool>,
}

impl RunGuard {
    /// `cancelled` turns true to end the statement, and its
    /// receivers are counted to know what runs.
    pub(super) fn new(cancelled: &watch::Sender<bool>) -> Self {
        Self { cancelled: cancelled.subscribe() }
    }

    /// Waits until somebody cancels.
    pub(super) async fn cancelled(&mut self) {
        // The sender lives as long as the execution does; when it is gone nobody can cancel.
        if self.cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What a client hears of a statement that was cancelled.
pub(super) fn cancelled_status() -> Status {
    Status::cancelled("the statement was cancelled")
}

/// The rows until they end, fail or are cancelled; then everything is dropped at once, whether or
/// not the client goes on to read.
pub(super) fn guarded(rows: RowStream, guard: RunGuard) -> RowStream {
    let next = |state: Option<(RowStream, RunGuard)>| async move {
        let (mut rows, mut guard) = state?;
        let batch = tokio::select! {
            biased;
            () = guard.cancelled() => Some(Err(cancelled_status())),
            batch = rows.next() => batch,
        };
        match batch? {
            Ok(batch) => Some((Ok(batch), Some((rows, guard)))),
            Err(status) => Some((Err(status), None)),
        }
    };
    stream::unfold(Some((rows, guard)), next).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_cancelled_stream_gives_its_place_back_before_it_is_dropped() {
        let places = Arc::new(Semaphore::new(1));
        let (cancel, _) = watch::channel(false);
        let place = places.clone().acquire_owned().await.unwrap();
        let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let rows = stream::once(async move { Ok(empty) }).chain(stream::pending());
        let rows = rows.inspect(move |_| _ = &place).boxed();
        let mut rows = guarded(rows, RunGuard::new(&cancel));
        assert!(rows.next().await.unwrap().is_ok());
        assert_eq!(places.available_permits(), 0);
        cancel.send_replace(true);
        assert_eq!(rows.next().await.unwrap().unwrap_err().code(), tonic::Code::Cancelled);
        assert_eq!(places.available_permits(), 1);
        assert!(rows.next().await.is_none());
    }
}

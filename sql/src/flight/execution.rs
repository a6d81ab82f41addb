//! One execution that a client was promised: DoGet reads a query, GetFlightInfo runs a change.
//!
//! A query may be read again as long as its ticket is kept. A change runs once: whoever asks again
//! hears what the first run answered, or that it was interrupted.

use crate::error::Result as SqlResult;
use crate::flight::handle::Handle;
use crate::flight::status::status_of;
use crate::flight::stream::{RowStream, RunGuard, cancelled_status, guarded};
use crate::flight::wire::WireOptions;
use crate::session::{Prepared, Progress, counted, progress, row_of};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Status;

/// What became of a change.
#[derive(Debug)]
enum Change {
    Waiting,
    Running,
    Done(Done),
    /// Nothing was changed; it may be tried again.
    Failed(Status),
    /// The run was given up before it answered; it may have been committed all the same.
    Interrupted,
}

/// What a change answered.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) batches: Vec<RecordBatch>,
    /// How many events or rows it added, where that is known.
    pub(super) rows_added: Option<u64>,
}

/// A prepared statement with its values, under a handle of its own.
pub(super) struct Execution {
    pub(super) handle: Handle,
    prepared: Prepared,
    /// A column for each parameter, a row for each run; absent when there are no parameters.
    values: Option<RecordBatch>,
    change: Mutex<Change>,
    cancel: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    /// How its answer is sent; fixed with the schema that was promised.
    pub(super) wire: WireOptions,
    pub(super) progress: Arc<Progress>,
}

impl Execution {
    /// Promises one run, or one for each row of values.
    pub(super) fn new(prepared: Prepared, values: Option<RecordBatch>, wire: WireOptions) -> Self {
        Self {
            handle: Handle::random(),
            prepared,
            values,
            change: Mutex::new(Change::Waiting),
            cancel: watch::channel(false).0,
            ended: watch::channel(false).0,
            wire,
            progress: Arc::default(),
        }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        self.prepared.schema()
    }

    pub(super) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// By what a run is told to stop.
    pub(super) fn cancel_sender(&self) -> &watch::Sender<bool> {
        &self.cancel
    }

    /// Ends it, whether it runs or waits.
    pub(super) fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// Whether somebody reads it or it changes something at this moment.
    pub(super) fn is_running(&self) -> bool {
        self.cancel.receiver_count() > 0
    }

    /// Whether a change has answered.
    pub(super) fn is_done(&self) -> bool {
        matches!(*self.state(), Change::Done(_) | Change::Interrupted)
    }

    /// Waits until a change has ended, at most so long; whether it has, or with what it failed.
    pub(super) async fn ended(&self, wait_max: Duration) -> Result<bool, Status> {
        let mut ended = self.ended.subscribe();
        // A time-out is no error: the client asks again.
        let _ = timeout(wait_max, ended.wait_for(|ended| *ended)).await;
        match &*self.state() {
            Change::Waiting | Change::Running => Ok(false),
            Change::Done(_) => Ok(true),
            Change::Failed(status) => Err(status.clone()),
            Change::Interrupted => Err(interrupted()),
        }
    }

    fn state(&self) -> MutexGuard<'_, Change> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of a query; the first run begins before this answers, so that its error is heard at
    /// once.
    pub(super) async fn read(self: &Arc<Self>, mut guard: RunGuard) -> Result<RowStream, Status> {
        let first = tokio::select! {
            biased;
            () = guard.cancelled() => return Err(cancelled_status()),
            rows = self.read_row(0) => rows?,
        };
        let runs = self.values.as_ref().map_or(1, RecordBatch::num_rows);
        let execution = self.clone();
        let further = stream::iter(1..runs).then(move |row| {
            let execution = execution.clone();
            async move { execution.read_row(row).await }
        });
        Ok(guarded(first.chain(further.try_flatten()).boxed(), guard))
    }

    async fn read_row(&self, row: usize) -> Result<RowStream, Status> {
        let values = match &self.values {
            Some(values) => row_of(values, row).map_err(|error| status_of(&error))?,
            None => Vec::new(),
        };
        let answer = self.prepared.run(values).await.map_err(|error| status_of(&error))?;
        Ok(answer.stream.map_err(|error| status_of(&error.into())).boxed())
    }

    /// Runs a change, or answers what its only run answered.
    pub(super) async fn change(&self, mut guard: RunGuard) -> Result<Done, Status> {
        let run = match self.begin()? {
            Begin::Answered(done) => return Ok(done),
            Begin::Run(run) => run,
        };
        let done = tokio::select! {
            biased;
            () = guard.cancelled() => return Err(cancelled_status()),
            done = progress::reported(&self.progress, self.run_change()) => done,
        };
        let done = done.map_err(|error| status_of(&error));
        run.end(&done);
        done
    }

    async fn run_change(&self) -> SqlResult<Done> {
        if let Some(values) = &self.values {
            let rows_added = self.prepared.run_rows(values).await?;
            return Ok(Done { batches: Vec::new(), rows_added });
        }
        let answer = self.prepared.run(Vec::new()).await?;
        let (schema, rows_added) = (answer.schema.clone(), answer.rows_added);
        let mut batches = answer.collect().await?;
        let rows_added = rows_added.or_else(|| counted(&batches));
        // A statement that promised no columns has nothing to say.
        batches.retain(|_| schema.fields().len() == self.schema().fields().len());
        Ok(Done { batches, rows_added })
    }

    /// Takes the right to the only run.
    fn begin(&self) -> Result<Begin<'_>, Status> {
        let mut state = self.state();
        match &*state {
            Change::Done(done) => Ok(Begin::Answered(done.clone())),
            Change::Running => Err(Status::aborted("this statement is running already")),
            Change::Interrupted => Err(interrupted()),
            Change::Waiting | Change::Failed(_) => {
                *state = Change::Running;
                Ok(Begin::Run(OnlyRun { execution: self, ended: false }))
            }
        }
    }
}

/// What asking for a change leads to.
enum Begin<'a> {
    Answered(Done),
    Run(OnlyRun<'a>),
}

/// The right to run a change; given up without an answer it leaves the change interrupted.
struct OnlyRun<'a> {
    execution: &'a Execution,
    ended: bool,
}

impl OnlyRun<'_> {
    fn end(mut self, done: &Result<Done, Status>) {
        self.ended = true;
        *self.execution.state() = match done {
            Ok(done) => Change::Done(done.clone()),
            Err(status) => Change::Failed(status.clone()),
        };
        self.execution.ended.send_replace(true);
    }
}

impl Drop for OnlyRun<'_> {
    fn drop(&mut self) {
        if !self.ended {
            *self.execution.state() = Change::Interrupted;
            self.execution.ended.send_replace(true);
        }
    }
}

fn interrupted() -> Status {
    Status::aborted(
        "this statement was interrupted before it answered; \
         look at system.commits whether it was committed",
    )
}

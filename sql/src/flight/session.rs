//! What the server keeps for one client: its session, its prepared statements, its tickets.

use crate::flight::execution::Execution;
use crate::flight::handle::Handle;
use crate::flight::wire::WireOptions;
use crate::session::{Prepared, Session};
use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// A client that prepares more without closing any has forgotten them.
const PREPARED_MAX: usize = 1024;
/// The oldest ticket that is not being read makes room for the next.
const EXECUTIONS_MAX: usize = 256;

/// A prepared statement of a client, with the values that it bound.
pub(super) struct PreparedStatement {
    pub(super) prepared: Prepared,
    bound: Mutex<Option<RecordBatch>>,
}

impl PreparedStatement {
    /// The values for the next runs: a column for each parameter, a row for each run.
    pub(super) fn bind(&self, values: RecordBatch) {
        *lock(&self.bound) = Some(values);
    }

    /// What is bound; `None` for a statement without parameters.
    pub(super) fn bound(&self) -> Result<Option<RecordBatch>, Status> {
        let values = lock(&self.bound).clone();
        match self.prepared.parameters().len() {
            0 => Ok(None),
            wanted if values.is_none() => {
                let message = format!("{wanted} parameters are wanted, none is bound");
                Err(Status::invalid_argument(message))
            }
            _ => Ok(values),
        }
    }
}

/// What the server keeps for one client.
pub(super) struct ClientSession {
    pub(super) id: Handle,
    /// Whose it is, and with which role: nobody else may use it.
    pub(super) owner: String,
    pub(super) session: Session,
    /// Whether one client alone is in it: one that logged in, or that sends its cookie.
    alone: AtomicBool,
    /// How answers are sent to this client.
    wire: Mutex<WireOptions>,
    used_at: Mutex<Instant>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    prepared: HashMap<Handle, Arc<PreparedStatement>>,
    executions: VecDeque<Arc<Execution>>,
    /// The memory of the temporary tables that came over the wire, by name.
    temporary: HashMap<String, Vec<MemoryReservation>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientSession {
    pub(super) fn new(owner: &str, session: Session, now: Instant) -> Self {
        Self {
            id: Handle::random(),
            owner: owner.to_owned(),
            session,
            alone: AtomicBool::new(false),
            wire: Mutex::default(),
            used_at: Mutex::new(now),
            kept: Mutex::default(),
        }
    }

    /// From here on it is known to have one client alone.
    pub(super) fn claim(&self) {
        self.alone.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// Refuses what would be seen by others that share this session.
    pub(super) fn ensure_alone(&self) -> Result<(), Status> {
        if self.is_alone() {
            return Ok(());
        }
        Err(Status::failed_precondition(
            "settings and temporary tables need a session of the client's own: log in with user \
             and password (Handshake), or keep cookies (arrow_flight_session_id)",
        ))
    }

    pub(super) fn wire(&self) -> WireOptions {
        *lock(&self.wire)
    }

    pub(super) fn change_wire(&self, change: impl FnOnce(&mut WireOptions)) {
        change(&mut lock(&self.wire));
    }

    pub(super) fn used_at(&self) -> Instant {
        *lock(&self.used_at)
    }

    pub(super) fn touch(&self, now: Instant) {
        *lock(&self.used_at) = now;
    }

    /// Whether it has not been used for so long; a running statement uses it.
    pub(super) fn is_idle(&self, now: Instant, idle_max: Duration) -> bool {
        let idle = now.saturating_duration_since(*lock(&self.used_at)) > idle_max;
        idle && !lock(&self.kept).executions.iter().any(|execution| execution.is_running())
    }

    /// Keeps a prepared statement until it is closed.
    pub(super) fn keep_prepared(&self, prepared: Prepared) -> Result<Handle, Status> {
        let mut kept = lock(&self.kept);
        if kept.prepared.len() >= PREPARED_MAX {
            let message = format!("{PREPARED_MAX} prepared statements are open, close some first");
            return Err(Status::resource_exhausted(message));
        }
        let handle = Handle::random();
        let statement = PreparedStatement { prepared, bound: Mutex::default() };
        kept.prepared.insert(handle, Arc::new(statement));
        Ok(handle)
    }

    pub(super) fn prepared(&self, handle: Handle) -> Option<Arc<PreparedStatement>> {
        lock(&self.kept).prepared.get(&handle).cloned()
    }

    /// Forgets a prepared statement; closing one twice is no error.
    pub(super) fn close_prepared(&self, handle: Handle) {
        lock(&self.kept).prepared.remove(&handle);
    }

    /// Keeps an execution so that its ticket finds it.
    pub(super) fn keep_execution(&self, execution: Execution) -> Result<Arc<Execution>, Status> {
        let mut kept = lock(&self.kept);
        if kept.executions.len() >= EXECUTIONS_MAX {
            let oldest = kept.executions.iter().position(|execution| !execution.is_running());
            let Some(oldest) = oldest else {
                let message = format!("{EXECUTIONS_MAX} statements of this session run at once");
                return Err(Status::resource_exhausted(message));
            };
            kept.executions.remove(oldest);
        }
        let execution = Arc::new(execution);
        kept.executions.push_back(execution.clone());
        Ok(execution)
    }

    pub(super) fn execution(&self, handle: Handle) -> Option<Arc<Execution>> {
        let kept = lock(&self.kept);
        kept.executions.iter().find(|execution| execution.handle == handle).cloned()
    }

    /// Holds the memory of a temporary table until it is replaced or the session ends.
    pub(super) fn keep_memory(&self, table: &str, memory: MemoryReservation) {
        lock(&self.kept).temporary.entry(table.to_owned()).or_default().push(memory);
    }

    /// Gives back the memory of a temporary table that is replaced.
    pub(super) fn give_memory_back(&self, table: &str) {
        lock(&self.kept).temporary.remove(table);
    }

    /// Ends whatever runs in it.
    pub(super) fn end(&self) {
        for execution in &lock(&self.kept).executions {
            execution.cancel();
        }
    }
}

//! How many statements run at once.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

/// A statement waits this long for its turn before it is refused.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The places of all clients together, given in the order of asking.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    count: usize,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(count)), count }
    }

    /// Waits for a place.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, Status> {
        let slot = timeout(WAIT_MAX, self.free.clone().acquire_owned()).await;
        slot.ok().and_then(Result::ok).ok_or_else(|| {
            let count = self.count;
            let seconds = WAIT_MAX.as_secs();
            Status::resource_exhausted(format!(
                "{count} statements run already and none ended within {seconds} s, try again"
            ))
        })
    }
}

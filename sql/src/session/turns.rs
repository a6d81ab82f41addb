//! Whose turn it is: statements that take long wait for each other, so that short ones need not wait
//! for them.
//!
//! A server has few processors. When many statements scan everything at a time, each of them is
//! slow, and so is the profile of one customer between them. So only some of the places for
//! statements may be taken by long ones. How long a statement will take is guessed from the rows
//! that its plan reads, after everything is pruned that can be.

use crate::events::EventScanExec;
use crate::session::workers::Workers;
use crate::walk::CustomerWalkExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt, stream};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A statement that reads or makes more rows than this is long: some tens of milliseconds of one
/// processor.
const SHORT_ROWS_MAX: usize = 500_000;
/// Inputs of which no statistics are known, although they are small: tables that tell about the
/// database, and nothing at all.
const SMALL_INPUTS: [&str; 5] =
    ["EmptyExec", "ExplainExec", "PlaceholderRowExec", "StreamingTableExec", "WorkTableExec"];

/// The places for statements that run at a time, given in the order of asking; clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    long: Arc<Semaphore>,
    workers: Arc<Workers>,
    at_once: usize,
}

impl Turns {
    /// So many statements at a time, of which so many may be long. At least one place is kept for
    /// short statements, unless there is only one.
    pub fn new(at_once: usize, long_at_once: usize) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        let long_at_once = long_at_once.clamp(1, (at_once - 1).max(1));
        Self {
            all: Arc::new(Semaphore::new(at_once)),
            long: Arc::new(Semaphore::new(long_at_once)),
            workers: Arc::default(),
            at_once,
        }
    }

    /// How many statements run at a time.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// The threads that long statements compute on.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Waits for a place.
    pub(crate) async fn take(&self, length: Length) -> Turn {
        // A long statement that waits must not take a place from a short one.
        let long = match length {
            Length::Short => None,
            Length::Long => self.long.clone().acquire_owned().await.ok(),
        };
        Turn { _long: long, _any: self.all.clone().acquire_owned().await.ok() }
    }
}

/// A place among the statements that run, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _long: Option<OwnedSemaphorePermit>,
    _any: Option<OwnedSemaphorePermit>,
}

/// How long a statement is going to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Short,
    Long,
}

/// How long a plan is going to take.
pub(crate) fn length_of(plan: &dyn ExecutionPlan) -> Length {
    length_in(plan, &StatisticsContext::new())
}

fn length_in(plan: &dyn ExecutionPlan, statistics: &StatisticsContext) -> Length {
    let known = statistics.compute(plan, &StatisticsArgs::new()).ok();
    let mut rows = known.and_then(|known| known.num_rows.get_value().copied());
    let events = events_read(plan);
    if let Some(selected) = events {
        rows = Some(rows.map_or(selected, |rows| rows.min(selected)));
    }
    let children = plan.children();
    let unknown = rows.is_none() && children.is_empty() && !SMALL_INPUTS.contains(&plan.name());
    if unknown || rows.is_some_and(|rows| rows > SHORT_ROWS_MAX) {
        return Length::Long;
    }
    // What lies below the events knows of whole files only.
    let mut below = children.into_iter().filter(|_| events.is_none());
    match below.any(|child| length_in(child.as_ref(), statistics) == Length::Long) {
        true => Length::Long,
        false => Length::Short,
    }
}

/// How many events a node reads, if it is one that reads them.
fn events_read(plan: &dyn ExecutionPlan) -> Option<usize> {
    let scan = plan.downcast_ref::<EventScanExec>().map(EventScanExec::rows_selected);
    let walk = || plan.downcast_ref::<CustomerWalkExec>().map(CustomerWalkExec::rows_selected);
    scan.or_else(walk).map(|rows| usize::try_from(rows).unwrap_or(usize::MAX))
}

/// The rows; the turn ends with them.
pub(crate) fn in_turn(
    turn: Option<Turn>,
    rows: SendableRecordBatchStream,
) -> SendableRecordBatchStream {
    let Some(turn) = turn else { return rows };
    let schema = rows.schema();
    let next = |state: Option<(SendableRecordBatchStream, Turn)>| async move {
        let (mut rows, turn) = state?;
        let batch = rows.next().await?;
        Some((batch, Some((rows, turn))))
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::unfold(Some((rows, turn)), next)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    // If this fails, the profile of a customer waits until somebody's report is ready.
    #[tokio::test]
    async fn long_statements_leave_room_for_short_ones() {
        let turns = Turns::new(3, 8);
        let long = [turns.take(Length::Long).await, turns.take(Length::Long).await];
        let mut waiting = Box::pin(turns.take(Length::Long));
        assert!(waiting.as_mut().now_or_never().is_none());
        let short = turns.take(Length::Short).now_or_never().unwrap();
        assert!(turns.take(Length::Short).now_or_never().is_none());
        drop((long, short));
        assert!(waiting.now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_only_place_is_for_everybody() {
        let turns = Turns::new(1, 1);
        let one = turns.take(Length::Short).await;
        assert!(turns.clone().take(Length::Long).now_or_never().is_none());
        drop(one);
        let _long = turns.take(Length::Long).now_or_never().unwrap();
        assert!(turns.take(Length::Short).now_or_never().is_none());
    }
}

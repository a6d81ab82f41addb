//! How far one customer came in a funnel in which an event fills one step, and how long it took.
//!
//! ```sql
//! SELECT funnel_steps('ordered', INTERVAL '1' HOUR, 'in_order', ts, false,
//!                     event = 'view', event = 'cart', event = 'buy') AS elapsed
//! FROM (VALUES (TIMESTAMP '2025-01-01 10:00:00', 'view'),
//!              (TIMESTAMP '2025-01-01 10:00:40', 'cart')) AS events(ts, event);
//! +------------------+
//! | elapsed          |
//! +------------------+
//! | [0, 40000000000] |
//! +------------------+
//! ```
//!
//! Two steps; 40 s, in the precision of ts, from the first to the second.
//!
//! The rules, in this order:
//! 1. The funnel of a customer is the deepest chain of events e1, e2, … in which e1 fulfils step 1,
//!    e2 step 2 and so on, no event stands twice, and every event lies within the funnel window of
//!    the first one (inclusive).
//! 2. [`FunnelOrder`] says which events may stand between, [`Tie`] what equal times mean.
//! 3. An excluded event ends every chain that began before it, at the depth it has by then. Steps
//!    at the very time of an excluded event still count.
//! 4. Of several deepest chains, the one that is complete first is told; of those, the one that
//!    began last.
//!
//! [`walk`] is the pure core.

mod aggregate;
mod any_order;
mod grace;
mod matching;
mod ordered;
#[cfg(test)]
mod tests;

pub use aggregate::FunnelStepsFunction;

pub use crate::grouped_events::Event;

/// The most steps: a mask has 32 conditions, and one of them is the exclusion.
pub const STEPS_MAX: usize = 31;

/// The bit of an excluded event in its mask; the bits below are the steps.
pub const EXCLUDED: u32 = 1 << STEPS_MAX;

fn is_excluded(event: &Event) -> bool {
    event.mask & EXCLUDED != 0
}

fn fills(event: &Event, step: usize) -> bool {
    event.mask >> step & 1 == 1
}

/// Which events may stand between the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunnelOrder {
    /// The steps in their order, with any other events between.
    Ordered,
    /// The steps in their order, with no other event of the customer between.
    Strict,
    /// The steps in any order, all within the funnel window.
    Any,
}

/// What equal, or nearly equal, times of two steps mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tie {
    /// Events of the same time count as being in order (ClickHouse).
    InOrder,
    /// The next step must be strictly later.
    Later,
    /// The next step may even be this much earlier than the step before it. The earliest fitting
    /// event is taken, so where one event fulfils several steps a deeper chain can be missed.
    Grace(i64),
}

/// The rules of a funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunnelRules {
    /// Which events may stand between the steps.
    pub order: FunnelOrder,
    /// How far a step may be from the first one; [`i64::MAX`] is without limit.
    pub within: i64,
    /// What equal times mean.
    pub tie: Tie,
    /// The number of steps, at most [`STEPS_MAX`].
    pub steps: usize,
}

/// The times of the steps that the customer reached; empty when not even the first.
///
/// The events must be sorted by time, then mask.
///
/// ```
/// use habitue_udf::funnel_steps::{Event, FunnelOrder, FunnelRules, Tie, walk};
/// let rules =
///     FunnelRules { order: FunnelOrder::Ordered, within: 60, tie: Tie::InOrder, steps: 2 };
/// let visit_and_purchase = [Event { ts: 10, mask: 0b01 }, Event { ts: 70, mask: 0b10 }];
/// assert_eq!(walk(rules, &visit_and_purchase), vec![10, 70]);
/// ```
pub fn walk(rules: FunnelRules, events: &[Event]) -> Vec<i64> {
    debug_assert!(events.is_sorted(), "a walk goes forward in time");
    match (rules.order, rules.tie) {
        (FunnelOrder::Any, _) => any_order::walk(rules, events),
        (FunnelOrder::Ordered, Tie::Grace(grace)) => grace::walk(rules, grace, events),
        (FunnelOrder::Ordered | FunnelOrder::Strict, _) => ordered::walk(rules, events),
    }
}

//! How deep one customer got into a funnel. No Arrow, no DataFusion.
//!
//! All starts are followed at once:
//! 1. Rows with the same time form a moment; moments are taken in order of time.
//! 2. For each depth we remember the latest start that stands there. An earlier start at the same
//!    depth can do nothing that the later one cannot: it only runs out of time sooner.
//! 3. At a moment, each remembered start whose window is not over goes as deep as the rows allow.
//! 4. Then the strict modes end the starts that a row of this moment forbids.
//! 5. A moment with a row of the first step is a start as well; its own rows never end it.
//!
//! So the cost is the sort, then a handful of operations per moment and depth in use.

use crate::grouped_events::Event;
use crate::window_funnel::assignment::{all_rows_serve, steps_served};
use crate::window_funnel::mode::{FunnelMode, Pace, Repeats, Service, Strangers};

/// What a funnel asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunnelRule {
    /// Steps, 1 to 32; bit `i` of an event's mask belongs to step `i`.
    pub steps: u32,
    /// How long after the first step the last may be, in steps of the time column.
    pub window: i64,
    /// Which rows carry on and which rows end a chain.
    pub mode: FunnelMode,
}

/// The matched rows of one customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowFunnel {
    events: Vec<Event>,
}

impl WindowFunnel {
    /// Takes one row, in any order.
    pub fn observe(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Takes the rows of another part of the same customer.
    pub fn merge(&mut self, other: &[Event]) {
        self.events.extend_from_slice(other);
    }

    /// The rows taken so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The deepest step reached.
    pub fn answer(&mut self, rule: &FunnelRule) -> u32 {
        self.events.sort_unstable();
        rule.depth(&self.events)
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        size_of_val(self) + self.events.capacity() * size_of::<Event>()
    }
}

/// The starts that are still followed.
#[derive(Clone, Debug)]
pub(super) struct Front {
    latest_start: [i64; 33],
    /// Bit `d`: a start stands at depth `d`.
    in_use: u64,
    pub(super) deepest: u32,
}

impl Default for Front {
    fn default() -> Self {
        Self { latest_start: [0; 33], in_use: 0, deepest: 0 }
    }
}

impl FunnelRule {
    /// The deepest step reached by events sorted by time.
    pub fn depth(&self, events: &[Event]) -> u32 {
        let mut front = Front::default();
        for moment in events.chunk_by(|left, right| left.ts == right.ts) {
            self.pass(moment, &mut front);
            if front.deepest == self.steps {
                break;
            }
        }
        front.deepest
    }

    /// Whether only matters which steps happened at a time, not in how many rows.
    pub(super) fn is_plain(&self) -> bool {
        self.mode.service == Service::ManySteps
            && self.mode.strangers == Strangers::Ignored
            && self.mode.repeats == Repeats::Ignored
    }

    /// Takes what happened at one time; at least one row.
    pub(super) fn pass(&self, moment: &[Event], front: &mut Front) {
        let ts = moment[0].ts;
        let any = moment.iter().fold(0, |any, event| any | event.mask);
        if front.in_use == 0 && any & 1 == 0 {
            return;
        }
        if self.is_plain() {
            self.pass_plain(Event { ts, mask: any }, front);
            return;
        }
        // Deepest first: whoever moves lands where this moment has been dealt with already.
        for depth in (1..self.steps).rev() {
            if front.in_use & (1 << depth) == 0 {
                continue;
            }
            let start = front.latest_start[depth as usize];
            front.in_use &= !(1 << depth);
            if ts > start.saturating_add(self.window) {
                continue;
            }
            let reached = self.advance(depth, moment, any);
            front.deepest = front.deepest.max(reached);
            if self.survives(depth, reached, moment) {
                front.stand(reached, start);
            }
        }
        if any & 1 != 0 {
            front.reach(self.advance(0, moment, any), ts);
        }
    }

    /// Takes the steps of one time under a rule that is plain. A start that they do not carry on
    /// is not touched: when its window is over, whatever comes to its place is later than it.
    pub(super) fn pass_plain(&self, now: Event, front: &mut Front) {
        let mut carried_on = front.in_use & u64::from(now.mask);
        while carried_on != 0 {
            // Deepest first, as ever.
            let depth = carried_on.ilog2();
            carried_on ^= 1 << depth;
            front.in_use ^= 1 << depth;
            let start = front.latest_start[depth as usize];
            if now.ts <= start.saturating_add(self.window) {
                front.reach(self.carry_on(depth, now.mask), start);
            }
        }
        if now.mask & 1 != 0 {
            front.reach(self.carry_on(0, now.mask), now.ts);
        }
    }

    /// The depth that a start at `depth` reaches with these steps, of which one row may serve many.
    fn carry_on(&self, depth: u32, steps: u32) -> u32 {
        let in_a_row = (u64::from(steps) >> depth).trailing_ones();
        match self.mode.pace {
            Pace::Later => depth + in_a_row.min(1),
            Pace::EqualOrLater => depth + in_a_row,
        }
    }

    /// The depth that a start at `depth` reaches with the rows of one moment.
    fn advance(&self, depth: u32, moment: &[Event], any: u32) -> u32 {
        let in_a_row = (u64::from(any) >> depth).trailing_ones();
        let served = match (self.mode.pace, self.mode.service) {
            (Pace::Later, _) => in_a_row.min(1),
            (_, Service::ManySteps) => in_a_row,
            (_, Service::OneStep) if moment.len() == 1 || in_a_row < 2 => in_a_row.min(1),
            (_, Service::OneStep) => {
                let masks: Vec<u32> = moment.iter().map(|event| event.mask).collect();
                steps_served(depth, &masks)
            }
        };
        depth + served
    }

    /// Whether a start that came from `depth` to `reached` may go on after this moment.
    fn survives(&self, depth: u32, reached: u32, moment: &[Event]) -> bool {
        let reached_steps = steps_below(reached);
        let stranger = |event: &Event| match self.mode.strangers {
            Strangers::Ignored => false,
            Strangers::EndTheStart => event.mask & reached_steps == 0,
            Strangers::EndTheStartUnlessSomeStep => event.mask == 0,
        };
        if moment.iter().any(stranger) {
            return false;
        }
        if self.mode.repeats == Repeats::Ignored {
            return true;
        }
        // Every row of a reached step must have served one that was reached just now.
        let new_steps = reached_steps & !steps_below(depth);
        let mut rows = moment.iter().filter(|event| event.mask & reached_steps != 0);
        let excused: Vec<u32> =
            rows.by_ref().take(33).map(|event| event.mask & new_steps).collect();
        all_rows_serve(&excused)
    }
}

impl Front {
    /// No start is followed any more.
    pub(super) fn clear(&mut self) {
        (self.in_use, self.deepest) = (0, 0);
    }

    fn reach(&mut self, depth: u32, start: i64) {
        self.deepest = self.deepest.max(depth);
        self.stand(depth, start);
    }

    fn stand(&mut self, depth: u32, start: i64) {
        let place = &mut self.latest_start[depth as usize];
        let later = self.in_use & (1 << depth) == 0 || *place < start;
        if later {
            *place = start;
            self.in_use |= 1 << depth;
        }
    }
}

fn steps_below(depth: u32) -> u32 {
    u32::MAX.checked_shr(u32::BITS - depth).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn depth(mode: &str, window: i64, rows: &[(i64, u32)]) -> u32 {
        let mode = FunnelMode::parse(mode).unwrap();
        let mut state = WindowFunnel::default();
        for &(ts, mask) in rows {
            state.observe(Event { ts, mask });
        }
        state.answer(&FunnelRule { steps: 4, window, mode })
    }

    const C1: u32 = 1;
    const C2: u32 = 2;
    const C3: u32 = 4;
    const C4: u32 = 8;

    #[test]
    fn nothing_or_no_first_step_is_zero() {
        assert_eq!(depth("default", 10, &[]), 0);
        assert_eq!(depth("default", 10, &[(1, C2), (2, C3)]), 0);
        assert_eq!(depth("default", 0, &[(1, C1)]), 1);
    }

    #[test]
    fn window_is_inclusive_and_counts_from_the_first_step() {
        assert_eq!(depth("default", 5, &[(0, C1), (3, C2), (5, C3)]), 3);
        assert_eq!(depth("default", 4, &[(0, C1), (3, C2), (5, C3)]), 2);
        assert_eq!(depth("default", i64::MAX, &[(i64::MIN, C1), (i64::MAX, C2)]), 1);
        assert_eq!(depth("default", i64::MAX, &[(i64::MAX - 1, C1), (i64::MAX, C2)]), 2);
    }

    #[test]
    fn every_start_is_tried() {
        let rows = [(0, C1), (1, C2), (9, C1), (10, C2), (11, C3)];
        assert_eq!(depth("default", 3, &rows), 3);
        assert_eq!(depth("strict_deduplication", 3, &rows), 3);
        assert_eq!(depth("strict_order", 3, &rows), 3);
        // An earlier start that got further is not forgotten for a later one.
        assert_eq!(depth("default", 10, &[(0, C1), (1, C2), (2, C1), (3, C3), (4, C4)]), 4);
    }

    #[test]
    fn equal_times_count_as_in_order() {
        assert_eq!(depth("default", 0, &[(7, C3), (7, C2), (7, C1)]), 3);
        assert_eq!(depth("strict_increase", 9, &[(7, C3), (7, C2), (7, C1), (8, C2)]), 2);
    }

    #[test]
    fn one_row_serves_one_step_in_strict_once() {
        assert_eq!(depth("default", 9, &[(1, C1 | C2 | C3)]), 3);
        assert_eq!(depth("strict_once", 9, &[(1, C1 | C2 | C3)]), 1);
        assert_eq!(depth("strict_once", 9, &[(1, C1 | C2), (1, C1)]), 2);
    }

    #[test]
    fn strict_increase_finds_the_longest_chain() {
        assert_eq!(depth("strict_increase", 9, &[(1, C1), (1, C2), (2, C2), (2, C3), (3, C3)]), 3);
    }

    #[test]
    fn repeated_step_ends_a_start_in_strict_deduplication() {
        assert_eq!(depth("strict_deduplication", 9, &[(1, C1), (2, C2), (3, C2), (4, C3)]), 2);
        assert_eq!(depth("strict_deduplication", 9, &[(1, C1), (2, C2), (2, C2), (4, C3)]), 2);
        assert_eq!(depth("strict_deduplication", 9, &[(1, C1), (2, C3), (3, C2), (4, C3)]), 3);
        // The row advances as well, so it is no mere repetition.
        assert_eq!(depth("strict_deduplication", 9, &[(1, C1), (2, C1 | C2), (4, C3)]), 3);
    }

    #[test]
    fn foreign_row_ends_a_start_in_strict_order() {
        assert_eq!(depth("strict_order", 9, &[(1, C1), (2, 0), (3, C2)]), 1);
        assert_eq!(depth("strict_order", 9, &[(1, C1), (2, C3), (3, C2)]), 1);
        assert_eq!(depth("strict_order", 9, &[(1, C1), (2, C1), (3, C2)]), 2);
        assert_eq!(depth("strict_order", 9, &[(1, 0), (1, C1), (3, C2)]), 2);
        assert_eq!(depth("strict_order, allow_reentry", 9, &[(1, C1), (2, C3), (3, C2)]), 2);
        assert_eq!(depth("strict_order, allow_reentry", 9, &[(1, C1), (2, 0), (3, C2)]), 1);
    }

    #[test]
    fn thirty_two_steps_work() {
        let rule = FunnelRule { steps: 32, window: 100, mode: FunnelMode::default() };
        let events: Vec<_> = (0..32).map(|step| Event { ts: step, mask: 1 << step }).collect();
        assert_eq!(rule.depth(&events), 32);
        let once = FunnelMode::parse("strict_once,strict_deduplication").unwrap();
        let rule = FunnelRule { mode: once, ..rule };
        let tied: Vec<_> = (0..32).map(|step| Event { ts: 0, mask: 1 << step }).collect();
        assert_eq!(rule.depth(&tied), 32);
    }

    /// From each start the soonest time of the next step, again and again.
    fn slow_plain_depth(rule: &FunnelRule, rows: &[(i64, u32)]) -> u32 {
        let starts = rows.iter().filter(|(_, mask)| mask & C1 != 0);
        let depths = starts.map(|&(start, _)| {
            let mut last = start;
            let later = i64::from(rule.mode.pace == Pace::Later);
            for step in 1..rule.steps {
                let times = last + later..=start + rule.window;
                let rows =
                    rows.iter().filter(|(ts, mask)| times.contains(ts) && mask >> step & 1 == 1);
                let Some(next) = rows.map(|(ts, _)| *ts).min() else {
                    return step;
                };
                last = next;
            }
            rule.steps
        });
        depths.max().unwrap_or(0)
    }

    // If this fails, a funnel in its usual mode tells a depth that nobody reached.
    #[test]
    fn plain_funnels_reach_what_the_soonest_next_steps_reach() {
        let rows = prop::collection::vec((0..12_i64, 0..16_u32), 0..14);
        let mode = prop::sample::select(vec!["default", "strict_increase"]);
        proptest!(|(rows in rows, mode in mode, window in 0..12_i64, steps in 1..=4_u32)| {
            let rule = FunnelRule { steps, window, mode: FunnelMode::parse(mode).unwrap() };
            let mut funnel = WindowFunnel::default();
            let rows = rows.into_iter().map(|(ts, mask)| (ts, mask & ((1 << steps) - 1)));
            let rows = rows.collect::<Vec<_>>();
            rows.iter().for_each(|&(ts, mask)| funnel.observe(Event { ts, mask }));
            prop_assert_eq!(funnel.answer(&rule), slow_plain_depth(&rule, &rows));
        });
    }
}

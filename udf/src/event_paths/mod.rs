//! Paths: which events follow each other, and how often.
//!
//! A path is a run of `steps` consecutive events of one customer; runs overlap, so four events
//! hold two paths of three. [`EventPaths`] walks from customer to customer, in order of time, and
//! counts each path, and the customers who took it.
//!
//! Events at the same time are taken in the order of their names, so that the answer does not
//! depend on the order of rows.

mod counts;
mod rows;

use crate::names::Names;
use counts::PathCounts;
pub use rows::Marked;

/// The most steps of a path.
pub const STEPS_MAX: usize = 8;
/// The most distinct names of events: a path is kept as 16 bits for each step.
pub const NAMES_MAX: usize = 1 << 16;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct PathRule {
    /// How many events it has, 1 to [`STEPS_MAX`].
    pub steps: usize,
    /// The longest time between two neighbours; more ends the run.
    pub gap: Option<i64>,
}

/// An event on the way of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathEvent {
    /// When; of one customer never before the one that came before.
    pub ts: i64,
    /// What, by its number among [`EventPaths::names`]; less than [`NAMES_MAX`].
    pub name: u32,
    /// Whether a path may begin with it.
    pub begins: bool,
    /// Whether a path may end with it.
    pub ends: bool,
}

/// Counts paths while events come customer by customer.
#[derive(Debug)]
pub struct EventPaths {
    rule: PathRule,
    names: Names,
    counts: PathCounts,
    /// How many names the counts have been made for.
    names_known: usize,
    /// The events at the time of the newest one; they are put in order when time goes on.
    now: Vec<PathEvent>,
    customer: u32,
    last_ts: i64,
    /// How many events stand behind each other without too long a gap; counted up to `steps`.
    run: usize,
    /// The last events while the array of the counts holds all paths.
    place: usize,
    /// The names of the last events, 16 bits each, the newest lowest; when it does not.
    path: u128,
    /// Which of the last events may begin a path, one bit each.
    begins: u32,
}

impl EventPaths {
    /// No events yet.
    pub fn new(rule: PathRule) -> Self {
        Self {
            rule,
            names: Names::default(),
            counts: PathCounts::new(rule.steps),
            names_known: 0,
            now: Vec::new(),
            customer: 0,
            last_ts: 0,
            run: 0,
            place: 0,
            path: 0,
            begins: 0,
        }
    }

    /// The names of events.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// What follows belongs to another customer.
    pub fn begin_customer(&mut self) {
        self.settle();
        self.customer += 1;
        self.run = 0;
        self.begins = 0;
    }

    /// The next event of the customer.
    pub fn observe(&mut self, event: PathEvent) {
        if self.now.first().is_some_and(|now| now.ts != event.ts) {
            self.settle();
        }
        self.now.push(event);
    }

    /// Each path with how often it was taken and by how many customers. No event can follow.
    pub fn finish(mut self) -> Vec<TakenPath> {
        self.settle();
        let (names, steps) = (&self.names, self.rule.steps);
        let taken = self.counts.all().map(|(path, count)| {
            let name = |step: usize| ((path >> (16 * (steps - 1 - step))) & 0xffff) as u32;
            let steps = (0..steps).map(|step| names.text(name(step)).to_owned());
            TakenPath {
                steps: steps.collect(),
                times: count.times,
                customers: count.customers.into(),
            }
        });
        taken.collect()
    }

    /// About how many bytes are held.
    pub fn size(&self) -> usize {
        self.counts.size() + self.names.size()
    }

    /// Makes room for the paths of names that are new.
    fn know_names(&mut self) {
        if self.names_known == self.names.len() {
            return;
        }
        if self.counts.holds(self.names_known) {
            self.path = self.counts.path(self.place);
        }
        self.names_known = self.names.len();
        self.counts.fit(self.names_known);
        self.place = self.counts.place(self.path);
    }

    /// Takes the events of one time, in the order of their names.
    fn settle(&mut self) {
        self.know_names();
        // Mostly nothing else happens at the same time.
        if let [event] = self.now.as_slice() {
            let event = *event;
            self.now.clear();
            self.step(event);
            return;
        }
        if self.now.len() > 1 {
            let names = &self.names;
            let key = |event: &PathEvent| (names.text(event.name), !event.begins, !event.ends);
            self.now.sort_by(|a, b| key(a).cmp(&key(b)));
        }
        let mut now = std::mem::take(&mut self.now);
        for event in now.drain(..) {
            self.step(event);
        }
        self.now = now;
    }

    fn step(&mut self, event: PathEvent) {
        let waited = event.ts.saturating_sub(self.last_ts);
        if self.run > 0 && self.rule.gap.is_some_and(|gap| waited > gap) {
            self.run = 0;
        }
        self.last_ts = event.ts;
        self.run = (self.run + 1).min(self.rule.steps);
        self.begins = (self.begins << 1) | u32::from(event.begins);
        let begins = (self.begins >> (self.rule.steps - 1)) & 1 == 1;
        let is_path = self.run == self.rule.steps && begins && event.ends;
        if self.counts.holds(self.names_known) {
            self.place = self.counts.next_place(self.place, event.name);
            if is_path {
                self.counts.add_at(self.place, self.customer);
            }
            return;
        }
        self.path = (self.path << 16) | u128::from(event.name);
        if is_path {
            self.counts.add(self.path, self.customer);
        }
    }
}

/// A path and how often it was taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TakenPath {
    /// The names of its events.
    pub steps: Vec<String>,
    /// How often.
    pub times: u64,
    /// By how many customers.
    pub customers: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(rule: PathRule, customers: &[&[(i64, &str)]]) -> Vec<(String, u64, u64)> {
        let mut paths = EventPaths::new(rule);
        for events in customers {
            paths.begin_customer();
            for &(ts, name) in *events {
                let name = paths.names().number(name);
                paths.observe(PathEvent { ts, name, begins: true, ends: true });
            }
        }
        let mut taken = paths.finish();
        taken.sort();
        taken.into_iter().map(|path| (path.steps.concat(), path.times, path.customers)).collect()
    }

    const TWO: PathRule = PathRule { steps: 2, gap: None };

    #[test]
    fn nothing_and_one_event_are_no_path() {
        assert_eq!(paths(TWO, &[]), []);
        assert_eq!(paths(TWO, &[&[(1, "a")], &[(2, "b")]]), []);
    }

    #[test]
    fn paths_overlap_and_customers_count_once() {
        let one: &[_] = &[(1, "a"), (2, "b"), (3, "a"), (4, "b")];
        let expected = [("ab".into(), 3, 2), ("ba".into(), 1, 1)];
        assert_eq!(paths(TWO, &[one, &[(1, "a"), (9, "b")]]), expected);
    }

    #[test]
    fn a_gap_that_is_equal_stays_and_a_longer_one_ends_the_run() {
        let rule = PathRule { gap: Some(5), ..TWO };
        let events: &[_] = &[(0, "a"), (5, "b"), (11, "c")];
        assert_eq!(paths(rule, &[events]), [("ab".into(), 1, 1)]);
    }

    #[test]
    fn events_at_the_same_time_come_in_the_order_of_their_names() {
        assert_eq!(paths(TWO, &[&[(7, "b"), (7, "a")]]), [("ab".into(), 1, 1)]);
        assert_eq!(paths(TWO, &[&[(7, "a"), (7, "b")]]), [("ab".into(), 1, 1)]);
    }
}

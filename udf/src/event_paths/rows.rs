//! Many rows of a customer at once: those that have a time of their own need not wait.

use super::{EventPaths, PathEvent};
use crate::names::Names;

/// Which of many rows are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked<'a> {
    /// Every one.
    All,
    /// Those whose bit is 1; the first bit is the lowest of the first byte.
    Bits {
        /// The bits.
        bytes: &'a [u8],
        /// The number of the first row's bit.
        first: usize,
    },
}

impl Marked<'_> {
    #[inline]
    fn holds(self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::Bits { bytes, first } => {
                let bit = first + row;
                bytes[bit / 8] & (1 << (bit % 8)) != 0
            }
        }
    }
}

/// The rows at hand; `ts` and `names` are as long as each other.
#[derive(Clone, Copy)]
struct Rows<'a> {
    ts: &'a [i64],
    names: &'a [u32],
    begins: Marked<'a>,
    ends: Marked<'a>,
}

impl EventPaths {
    /// The next rows of the customer, as if each that has a name were
    /// [observed](EventPaths::observe): up to the last of them `ts` never
    /// goes down. A path may begin with the rows that are marked in `begins` and end with those in
    /// `ends`.
    ///
    /// A name is its number among [`EventPaths::names`], or [`Names::NONE`].
    pub fn observe_rows(
        &mut self,
        ts: &[i64],
        names: &[u32],
        begins: Marked<'_>,
        ends: Marked<'_>,
    ) {
        let rows = Rows { ts, names: &names[..ts.len()], begins, ends };
        self.know_names();
        let is_dense = self.counts.holds(self.names_known);
        let mut row = 0;
        while row < ts.len() {
            // What shares its time with the rows before waits with them.
            let waits = self.now.first().is_some_and(|now| now.ts == ts[row]);
            if is_dense && !waits {
                self.settle();
                row = match self.is_plain(&rows) {
                    true => self.step_alone::<true>(&rows, row),
                    false => self.step_alone::<false>(&rows, row),
                };
            }
            if names[row] != Names::NONE {
                let (begins, ends) = (begins.holds(row), ends.holds(row));
                self.observe(PathEvent { ts: ts[row], name: names[row], begins, ends });
            }
            row += 1;
        }
    }

    /// Whether any `steps` events are a path, those that came included.
    fn is_plain(&self, rows: &Rows<'_>) -> bool {
        let is_marked = rows.begins != Marked::All || rows.ends != Marked::All;
        self.rule.gap.is_none() && !is_marked && self.begins.trailing_ones() as usize >= self.run
    }

    /// Takes rows from `first` on that have a time of their own. The answer is the first that may
    /// have not, as the row after it has the same time or is not known.
    fn step_alone<const PLAIN: bool>(&mut self, rows: &Rows<'_>, first: usize) -> usize {
        let (steps, customer) = (self.rule.steps, self.customer);
        // No time is longer than the longest, so this gap ends no run.
        let gap = self.rule.gap.unwrap_or(i64::MAX);
        let (mut run, mut last_ts, mut begins) = (self.run, self.last_ts, self.begins);
        let (mut place, mut row) = (self.place, first);
        let times = rows.ts[first..].iter().zip(&rows.ts[first + 1..]);
        for ((&ts, &next_ts), &name) in times.zip(&rows.names[first..]) {
            if ts == next_ts {
                break;
            }
            if name != Names::NONE {
                let is_late = !PLAIN && ts.saturating_sub(last_ts) > gap;
                run = if is_late { 1 } else { run + 1 };
                last_ts = ts;
                begins = (begins << 1) | u32::from(PLAIN || rows.begins.holds(row));
                place = self.counts.next_place(place, name);
                let is_marked = || (begins >> (steps - 1)) & 1 == 1 && rows.ends.holds(row);
                if run >= steps && (PLAIN || is_marked()) {
                    self.counts.add_at(place, customer);
                }
            }
            row += 1;
        }
        (self.run, self.last_ts, self.begins) = (run.min(steps), last_ts, begins);
        self.place = place;
        row
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PathRule, TakenPath};
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Clone, Debug)]
    struct Row {
        customer: usize,
        ts: i64,
        name: Option<&'static str>,
        begins: bool,
        ends: bool,
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        // Not in the order of the alphabet; more than the array holds of the longest paths.
        let name = prop::sample::select(vec!["m", "c", "x", "a", "q", "f", "z", "b", "k"]);
        let name = prop::option::weighted(0.9, name);
        let row = (prop::bool::weighted(0.1), 0..4_i64, name, any::<bool>(), any::<bool>());
        prop::collection::vec(row, 0..80).prop_map(|rows| {
            let (mut customer, mut ts) = (0, 0);
            let rows = rows.into_iter().map(|(is_other, later, name, begins, ends)| {
                customer += usize::from(is_other);
                ts += later;
                Row { customer, ts, name, begins, ends }
            });
            rows.collect()
        })
    }

    fn bits(marks: impl Iterator<Item = bool>, first: usize) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        for (bit, _) in (first..).zip(marks).filter(|(_, mark)| *mark) {
            bytes[bit / 8] |= 1 << (bit % 8);
        }
        bytes
    }

    fn observe_slice(paths: &mut EventPaths, rows: &[Row], all_marked: bool) {
        let mut number = |name| paths.names().number(name);
        let names = rows.iter().map(|row| row.name.map_or(Names::NONE, &mut number));
        let names = names.collect::<Vec<_>>();
        let ts = rows.iter().map(|row| row.ts).collect::<Vec<_>>();
        let first = rows.len() % 9;
        let begins = bits(rows.iter().map(|row| row.begins), first);
        let ends = bits(rows.iter().map(|row| row.ends), first);
        let marked = |bytes| if all_marked { Marked::All } else { Marked::Bits { bytes, first } };
        paths.observe_rows(&ts, &names, marked(&begins), marked(&ends));
    }

    fn fast(rule: PathRule, rows: &[Row], batches: &[(usize, bool)]) -> Vec<TakenPath> {
        let mut paths = EventPaths::new(rule);
        let (mut rest, mut last) = (rows, None);
        for &(length, all_marked) in batches.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (batch, others) = rest.split_at(length.min(rest.len()));
            for same in batch.chunk_by(|a, b| a.customer == b.customer) {
                if last != Some(same[0].customer) {
                    paths.begin_customer();
                }
                last = Some(same[0].customer);
                observe_slice(&mut paths, same, all_marked);
            }
            rest = others;
        }
        let mut taken = paths.finish();
        taken.sort();
        taken
    }

    fn slow(rule: PathRule, rows: &[Row]) -> Vec<TakenPath> {
        let mut taken = BTreeMap::<Vec<String>, (u64, BTreeSet<usize>)>::new();
        for same in rows.chunk_by(|a, b| a.customer == b.customer) {
            let named = same.iter().filter_map(|row| Some((row, row.name?)));
            let mut named = named.collect::<Vec<_>>();
            named.sort_by_key(|(row, name)| (row.ts, *name, !row.begins, !row.ends));
            for path in named.windows(rule.steps) {
                let is_late = |pair: &[(&Row, _)]| {
                    rule.gap.is_some_and(|gap| pair[1].0.ts - pair[0].0.ts > gap)
                };
                let is_marked = path[0].0.begins && path[rule.steps - 1].0.ends;
                if is_marked && !path.windows(2).any(is_late) {
                    let steps = path.iter().map(|(_, name)| (*name).to_owned()).collect();
                    let (times, customers) = taken.entry(steps).or_default();
                    *times += 1;
                    customers.insert(same[0].customer);
                }
            }
        }
        let taken = taken.into_iter().map(|(steps, (times, customers))| {
            let customers = customers.len() as u64;
            TakenPath { steps, times, customers }
        });
        taken.collect()
    }

    // If this fails, event_paths tells ways that nobody went.
    #[test]
    fn paths_of_many_rows_are_those_of_the_sorted_events_of_each_customer() {
        let batches = prop::collection::vec((1..30_usize, any::<bool>()), 1..6);
        let rule = (1..=8_usize, prop::option::of(0..4_i64));
        let rule = rule.prop_map(|(steps, gap)| PathRule { steps, gap });
        proptest!(|(mut rows in rows(), batches in batches, rule in rule)| {
            // Whoever comes in a batch without conditions may begin and end a path.
            let mut from = 0;
            for &(length, all_marked) in batches.iter().cycle() {
                if from >= rows.len() {
                    break;
                }
                let to = (from + length).min(rows.len());
                for row in &mut rows[from..to] {
                    row.begins |= all_marked;
                    row.ends |= all_marked;
                }
                from = to;
            }
            prop_assert_eq!(fast(rule, &rows, &batches), slow(rule, &rows));
        });
    }
}

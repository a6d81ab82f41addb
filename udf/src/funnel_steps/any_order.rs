//! The walk over steps in any order: windows that slide over the events.
//!
//! A window begins at an event and ends where the funnel window or the first later excluded event
//! ends it. A window whose end is no further than that of an earlier one holds nothing new and is
//! skipped, so without a limit there is one window between excluded events.

use super::matching::Matching;
use super::{Event, FunnelRules, is_excluded};

pub(super) fn walk(rules: FunnelRules, events: &[Event]) -> Vec<i64> {
    let mut deepest = Vec::new();
    let mut reached_end = 0;
    for start in 0..events.len() {
        let end = window_end(rules, &events[start..]) + start;
        if end <= reached_end {
            continue;
        }
        reached_end = end;
        let times = completion_times(rules, &events[start..end]);
        if is_better(&times, &deepest) {
            deepest = times;
        }
    }
    deepest
}

/// How many of these events lie in the window that begins at the first of them.
fn window_end(rules: FunnelRules, events: &[Event]) -> usize {
    let start = events[0].ts;
    let last = start.saturating_add(rules.within);
    let ends_it = |event: &&Event| event.ts > start && is_excluded(event);
    let excluded = events.iter().take_while(|event| event.ts <= last).find(ends_it);
    let last = excluded.map_or(last, |event| event.ts);
    events.partition_point(|event| event.ts <= last)
}

/// For each step, when it and all before it were first filled.
fn completion_times(rules: FunnelRules, window: &[Event]) -> Vec<i64> {
    let mut matching = Matching::new(rules.steps);
    let mut times = Vec::new();
    for group in window.chunk_by(|a, b| a.ts == b.ts) {
        for event in group {
            matching.offer(event);
        }
        while times.len() < rules.steps && matching.fill(times.len()) {
            times.push(group[0].ts);
        }
    }
    times
}

/// Deeper, then complete earlier, then begun later.
fn is_better(times: &[i64], known: &[i64]) -> bool {
    let ends_earlier = times.last().zip(known.last()).map(|(end, known_end)| known_end.cmp(end));
    let begins_later = times.first().cmp(&known.first());
    times.len().cmp(&known.len()).then(ends_earlier.unwrap_or(begins_later)).then(begins_later)
        == std::cmp::Ordering::Greater
}

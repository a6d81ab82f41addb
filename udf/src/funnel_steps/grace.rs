//! The walk over ordered steps in which a step may be a little earlier than the one before it.
//!
//! From every possible first event the earliest fitting event is taken for each next step, found by
//! binary search in the list of that step's events: cost starts × steps × log events.

use super::{Event, FunnelRules, fills, is_excluded};

pub(super) fn walk(rules: FunnelRules, grace: i64, events: &[Event]) -> Vec<i64> {
    let fitting: Vec<Vec<usize>> = (0..rules.steps).map(|step| indices(events, step)).collect();
    let excluded: Vec<i64> =
        events.iter().filter(|event| is_excluded(event)).map(|event| event.ts).collect();
    let mut deepest = Vec::new();
    for start in fitting.first().into_iter().flatten() {
        let times = chain_from(rules, grace, events, &fitting, &excluded, *start);
        if is_better(&times, &deepest) {
            deepest = times;
        }
    }
    deepest
}

fn indices(events: &[Event], step: usize) -> Vec<usize> {
    (0..events.len()).filter(|index| fills(&events[*index], step)).collect()
}

fn chain_from(
    rules: FunnelRules,
    grace: i64,
    events: &[Event],
    fitting: &[Vec<usize>],
    excluded: &[i64],
    start: usize,
) -> Vec<i64> {
    let begun = events[start].ts;
    let next_excluded = excluded.get(excluded.partition_point(|ts| *ts <= begun));
    let window_end = begun.saturating_add(rules.within);
    let last = next_excluded.map_or(window_end, |ts| window_end.min(*ts));
    let mut used = vec![start];
    let mut times = vec![begun];
    for candidates in &fitting[1..] {
        let earliest = times[times.len() - 1].saturating_sub(grace);
        let from = candidates.partition_point(|index| events[*index].ts < earliest);
        let next = candidates[from..].iter().find(|index| !used.contains(index));
        match next {
            Some(index) if events[*index].ts <= last => {
                used.push(*index);
                times.push(events[*index].ts);
            }
            _ => break,
        }
    }
    times
}

/// Deeper, then complete earlier, then begun later.
fn is_better(times: &[i64], known: &[i64]) -> bool {
    let rank = |times: &[i64]| {
        let complete = times.iter().max().copied();
        (times.len(), complete.map(std::cmp::Reverse), times.first().copied())
    };
    rank(times) > rank(known)
}

//! The walk over ordered steps: for every depth, the chain that began last.
//!
//! 1. Events are taken in groups of equal time.
//! 2. For each depth the latest-beginning chain of that depth is kept: it has the most of the
//!    funnel window left, so it can do whatever an earlier one could.
//! 3. A group extends a chain by as many steps as its events can fill together, and begins a new
//!    chain likewise. Deeper chains are extended first, so that no event is used twice.
//! 4. Under strict order only chains that used all events of a group live on.
//! 5. An excluded event ends the chains that began before it.
//!
//! One pass, no matter how many events could begin a chain.

use super::matching::steps_filled;
use super::{Event, FunnelOrder, FunnelRules, Tie, fills, is_excluded};

/// The chains by depth − 1, each as the times of its steps; an empty one does not exist.
type Chains = Vec<Vec<i64>>;

pub(super) fn walk(rules: FunnelRules, events: &[Event]) -> Vec<i64> {
    let mut chains: Chains = vec![Vec::new(); rules.steps];
    let mut deepest = Vec::new();
    for group in events.chunk_by(|a, b| a.ts == b.ts) {
        let reached = match rules.order {
            FunnelOrder::Strict => advance_strictly(rules, &mut chains, group),
            FunnelOrder::Ordered | FunnelOrder::Any => advance(rules, &mut chains, group),
        };
        if reached.len() > deepest.len() {
            deepest = reached;
        }
        if deepest.len() == rules.steps {
            break;
        }
        if group.iter().any(is_excluded) {
            end_chains_before(&mut chains, group[0].ts);
        }
    }
    deepest
}

/// Extends all chains by one group of equal time; answers the deepest chain that ends here.
fn advance(rules: FunnelRules, chains: &mut Chains, group: &[Event]) -> Vec<i64> {
    let ts = group[0].ts;
    let mut reached = 0;
    for depth in (0..rules.steps).rev() {
        if !can_grow(rules, chains, depth, ts) {
            continue;
        }
        let grown = growth(rules, group, depth);
        for more in 1..=grown {
            if let Some(chain) = better_chain(chains, depth, more, ts) {
                chains[depth + more - 1] = chain;
            }
        }
        if grown > 0 {
            reached = reached.max(depth + grown);
        }
    }
    reached.checked_sub(1).map_or_else(Vec::new, |last| chains[last].clone())
}

/// As [`advance`], but a chain lives on only when it has used the whole group.
fn advance_strictly(rules: FunnelRules, chains: &mut Chains, group: &[Event]) -> Vec<i64> {
    let ts = group[0].ts;
    let mut next: Chains = vec![Vec::new(); rules.steps];
    let mut deepest: Vec<i64> = Vec::new();
    for depth in (0..rules.steps).rev() {
        if !can_grow(rules, chains, depth, ts) {
            continue;
        }
        let grown = growth(rules, group, depth);
        for more in 1..=grown {
            let chain = extended(chains, depth, more, ts);
            if is_better(&chain, &deepest) {
                deepest.clone_from(&chain);
            }
            let lives_on = depth == 0 || more == group.len();
            if lives_on && is_better(&chain, &next[depth + more - 1]) {
                next[depth + more - 1] = chain;
            }
        }
    }
    *chains = next;
    deepest
}

/// A fresh chain (depth 0) can always begin; another must exist and have window left.
fn can_grow(rules: FunnelRules, chains: &Chains, depth: usize, ts: i64) -> bool {
    let Some(chain) = depth.checked_sub(1).map(|index| &chains[index]) else {
        return true;
    };
    chain.first().is_some_and(|start| ts <= start.saturating_add(rules.within))
}

fn growth(rules: FunnelRules, group: &[Event], depth: usize) -> usize {
    match rules.tie {
        Tie::Later => usize::from(group.iter().any(|event| fills(event, depth))),
        Tie::InOrder | Tie::Grace(_) => steps_filled(group, depth, rules.steps),
    }
}

fn extended(chains: &Chains, depth: usize, more: usize, ts: i64) -> Vec<i64> {
    let before = depth.checked_sub(1).map_or(&[][..], |index| &chains[index]);
    let mut chain = Vec::with_capacity(depth + more);
    chain.extend_from_slice(before);
    chain.resize(depth + more, ts);
    chain
}

/// The chain that this growth makes, when it beats the one already known at its depth.
fn better_chain(chains: &Chains, depth: usize, more: usize, ts: i64) -> Option<Vec<i64>> {
    let known = &chains[depth + more - 1];
    let start = depth.checked_sub(1).map_or(ts, |index| chains[index][0]);
    let is_later = known.first().is_none_or(|known_start| start > *known_start);
    is_later.then(|| extended(chains, depth, more, ts))
}

/// Deeper is better, then the later beginning; of equals the one found first stays.
fn is_better(chain: &[i64], known: &[i64]) -> bool {
    let rank = |times: &[i64]| (times.len(), times.first().copied());
    rank(chain) > rank(known)
}

fn end_chains_before(chains: &mut Chains, ts: i64) {
    for chain in chains {
        if chain.first().is_some_and(|start| *start < ts) {
            chain.clear();
        }
    }
}

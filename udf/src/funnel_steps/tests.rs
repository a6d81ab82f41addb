//! The walk against a search through all assignments of events to steps.

use super::{EXCLUDED, Event, FunnelOrder, FunnelRules, Tie, fills, is_excluded};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof};
use proptest::proptest;

const STEPS: usize = 3;

fn walk(rules: FunnelRules, events: &[Event]) -> Vec<i64> {
    let mut events = events.to_vec();
    events.sort_unstable();
    super::walk(rules, &events)
}

fn rules(order: FunnelOrder, within: i64, tie: Tie) -> FunnelRules {
    FunnelRules { order, within, tie, steps: STEPS }
}

fn events_of(pairs: &[(i64, u32)]) -> Vec<Event> {
    pairs.iter().map(|(ts, mask)| Event { ts: *ts, mask: *mask }).collect()
}

const IN_ORDER: FunnelRules =
    FunnelRules { order: FunnelOrder::Ordered, within: i64::MAX, tie: Tie::InOrder, steps: STEPS };

#[test]
fn no_event_reaches_nothing() {
    assert!(walk(IN_ORDER, &[]).is_empty());
}

#[test]
fn one_event_fills_one_step() {
    assert_eq!(walk(IN_ORDER, &events_of(&[(5, 0b111)])), vec![5]);
}

#[test]
fn equal_times_are_assigned_as_well_as_they_can_be() {
    // Taken greedily, the event that can be anything would be the first step.
    assert_eq!(walk(IN_ORDER, &events_of(&[(5, 0b111), (5, 0b001), (5, 0b011)])), vec![5; 3]);
}

#[test]
fn later_start_is_tried_when_the_first_runs_out_of_window() {
    let events = &events_of(&[(0, 1), (50, 1), (60, 2), (109, 4)]);
    assert_eq!(walk(rules(FunnelOrder::Ordered, 60, Tie::InOrder), events), vec![50, 60, 109]);
}

#[test]
fn window_includes_its_end_and_does_not_overflow() {
    let events = &events_of(&[(i64::MAX - 1, 1), (i64::MAX, 2)]);
    assert_eq!(walk(rules(FunnelOrder::Ordered, 1, Tie::InOrder), events).len(), 2);
}

#[test]
fn excluded_event_ends_what_began_before_it() {
    assert_eq!(walk(IN_ORDER, &events_of(&[(0, 1), (1, 2), (2, EXCLUDED), (3, 4)])).len(), 2);
    assert_eq!(walk(IN_ORDER, &events_of(&[(2, 1), (2, EXCLUDED), (3, 2)])).len(), 2);
}

#[test]
fn strict_order_bears_nothing_between() {
    let strict = rules(FunnelOrder::Strict, i64::MAX, Tie::InOrder);
    assert_eq!(walk(strict, &events_of(&[(0, 1), (1, 0), (2, 2)])).len(), 1);
    assert_eq!(walk(strict, &events_of(&[(0, 1), (1, 1), (2, 2), (2, 4)])).len(), 3);
}

#[test]
fn strict_order_goes_through_a_time_only_when_it_uses_all_of_it() {
    let strict = rules(FunnelOrder::Strict, i64::MAX, Tie::InOrder);
    let with_leftover = events_of(&[(0, 1), (1, 2), (1, 8), (2, 4)]);
    assert_eq!(walk(strict, &with_leftover).len(), 2);
    let at_the_ends = events_of(&[(0, 8), (0, 1), (1, 2), (2, 4), (2, 8)]);
    assert_eq!(walk(strict, &at_the_ends).len(), 3);
}

#[test]
fn grace_takes_a_step_that_is_a_little_early() {
    let events = &events_of(&[(10, 1), (9, 2), (20, 4)]);
    assert_eq!(walk(rules(FunnelOrder::Ordered, 60, Tie::Grace(1)), events), vec![10, 9, 20]);
    assert_eq!(walk(rules(FunnelOrder::Ordered, 60, Tie::InOrder), events), vec![10]);
}

#[test]
fn any_order_is_complete_when_its_last_event_comes() {
    let events = &events_of(&[(10, 4), (20, 1), (30, 2)]);
    assert_eq!(walk(rules(FunnelOrder::Any, 60, Tie::InOrder), events), vec![20, 30, 30]);
}

/// The deepest chain over all injective assignments, by plain search.
fn deepest(rules: FunnelRules, events: &[Event], chain: &mut Vec<usize>) -> usize {
    let mut best = chain.len();
    if chain.len() == rules.steps {
        return best;
    }
    for next in 0..events.len() {
        if chain.contains(&next) || !fills(&events[next], chain.len()) {
            continue;
        }
        chain.push(next);
        if is_allowed(rules, events, chain) {
            best = best.max(deepest(rules, events, chain));
        }
        chain.pop();
    }
    best
}

fn is_allowed(rules: FunnelRules, events: &[Event], chain: &[usize]) -> bool {
    let times: Vec<i64> = chain.iter().map(|index| events[*index].ts).collect();
    let (begun, ended) = match rules.order {
        FunnelOrder::Any => (*times.iter().min().unwrap(), *times.iter().max().unwrap()),
        _ => (times[0], *times.iter().max().unwrap()),
    };
    let in_order = times.windows(2).all(|pair| match rules.tie {
        _ if rules.order == FunnelOrder::Any => true,
        Tie::InOrder => pair[0] <= pair[1],
        Tie::Later => pair[0] < pair[1],
        Tie::Grace(grace) => pair[0] - grace <= pair[1],
    });
    let excluded = |m: &Event| is_excluded(m) && begun < m.ts && m.ts < ended;
    let stands_between = |index: usize| {
        let ts = events[index].ts;
        !chain.contains(&index) && begun < ts && ts < ended
    };
    let neighbours = rules.order != FunnelOrder::Strict || !(0..events.len()).any(stands_between);
    in_order
        && ended <= begun.saturating_add(rules.within)
        && !events.iter().any(excluded)
        && neighbours
        && (rules.order != FunnelOrder::Strict || joints_are_tight(events, chain))
}

/// Under strict order a time that the chain passes through must be used up whole: only the first
/// and the last time of a chain may have events left over, and not when it goes on after them.
fn joints_are_tight(events: &[Event], chain: &[usize]) -> bool {
    let begun = events[chain[0]].ts;
    let ended = events[chain[chain.len() - 1]].ts;
    let left_over = |ts: i64| (0..events.len()).any(|i| events[i].ts == ts && !chain.contains(&i));
    // Events of the first time can be placed before the chain, those of the last time after it.
    chain.iter().all(|index| {
        let ts = events[*index].ts;
        ts == begun || ts == ended || !left_over(ts)
    })
}

fn tie() -> impl Strategy<Value = Tie> {
    prop_oneof![Just(Tie::InOrder), Just(Tie::Later)]
}

fn order() -> impl Strategy<Value = FunnelOrder> {
    prop_oneof![Just(FunnelOrder::Ordered), Just(FunnelOrder::Strict), Just(FunnelOrder::Any)]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let mask = (0u32..8, any::<u8>())
        .prop_map(|(steps, dice)| if dice < 24 { steps | EXCLUDED } else { steps });
    prop::collection::vec((0i64..5, mask), 0..7).prop_map(|pairs| events_of(&pairs))
}

proptest! {
    #[test]
    fn walk_finds_the_deepest_chain(
        events in events(), order in order(), tie in tie(), within in 0i64..9,
    ) {
        let rules = rules(order, within, tie);
        let expected = deepest(rules, &events, &mut Vec::new());
        let times = walk(rules, &events);
        prop_assert_eq!(times.len(), expected);
        prop_assert!(times.is_sorted());
    }

    #[test]
    fn grace_finds_the_deepest_chain_when_an_event_fits_one_step(
        pairs in prop::collection::vec((0i64..8, 0u32..STEPS as u32), 0..7),
        grace in 0i64..3,
        within in 0i64..9,
    ) {
        let pairs: Vec<_> = pairs.into_iter().map(|(ts, step)| (ts, 1 << step)).collect();
        let rules = rules(FunnelOrder::Ordered, within, Tie::Grace(grace));
        let expected = deepest(rules, &events_of(&pairs), &mut Vec::new());
        prop_assert_eq!(walk(rules, &events_of(&pairs)).len(), expected);
    }

    #[test]
    fn order_of_the_input_does_not_matter(events in events(), order in order(), tie in tie()) {
        let rules = rules(order, 5, tie);
        let mut backwards = events.clone();
        backwards.reverse();
        prop_assert_eq!(walk(rules, &events), walk(rules, &backwards));
    }
}

//! Tests of the shares.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 86_400;

/// What each name gets: shares in thousandths, and amount.
fn credits(model: Model, within: i64, events: &[(i64, &str, Option<i128>)]) -> Vec<String> {
    let mut attribution = Attribution::new(AttributionRule { model, within });
    attribution.begin_customer();
    for &(ts, touch, goal) in events {
        let touch = (!touch.is_empty()).then(|| attribution.names().number(touch));
        attribution.observe(TouchEvent { ts, touch, goal });
    }
    let credits = attribution.finish().into_iter();
    let mut credits = credits
        .map(|(name, credit)| {
            let name = name.unwrap_or_else(|| "nobody".into());
            format!("{name} {} {}", credit.shares * 1000 / i128::from(WHOLE), credit.amount)
        })
        .collect::<Vec<_>>();
    credits.sort();
    credits
}

const WAY: [(i64, &str, Option<i128>); 5] = [
    (0, "mail", None),
    (DAY, "ads", None),
    (2 * DAY, "search", None),
    (3 * DAY, "ads", None),
    (4 * DAY, "", Some(100)),
];

#[test]
fn each_model_shares_in_its_own_way() {
    let all = |model| credits(model, 30 * DAY, &WAY);
    assert_eq!(all(Model::First), ["mail 1000 100"]);
    assert_eq!(all(Model::Last), ["ads 1000 100"]);
    assert_eq!(all(Model::Linear), ["ads 500 50", "mail 250 25", "search 250 25"]);
    assert_eq!(all(Model::Position), ["ads 500 50", "mail 400 40", "search 100 10"]);
    let decay = all(Model::TimeDecay { half_life: DAY });
    // Weights 1, 2, 4 and 8 of 15.
    assert_eq!(decay, ["ads 666 68", "mail 66 6", "search 266 26"]);
}

#[test]
fn a_touch_as_old_as_the_window_counts_and_an_older_one_does_not() {
    let within = |days| credits(Model::First, days * DAY, &WAY);
    assert_eq!(within(4), ["mail 1000 100"]);
    assert_eq!(within(3), ["ads 1000 100"]);
    assert_eq!(within(0), ["nobody 1000 100"]);
}

#[test]
fn what_happens_at_the_time_of_the_goal_is_before_it() {
    let events = [(5, "", Some(7)), (5, "b", None), (5, "a", Some(1))];
    assert_eq!(credits(Model::Last, 9, &events), ["b 1000 8".replace("1000", "2000")]);
    assert_eq!(credits(Model::First, 9, &events), ["a 2000 8"]);
}

#[test]
fn the_parts_of_an_amount_add_up_to_it_also_below_zero() {
    for amount in [100, 1, -1, -100, 7] {
        let events = [(0, "a", None), (1, "b", None), (2, "c", None), (3, "", Some(amount))];
        let credits = credits(Model::Linear, 9, &events);
        let amounts = credits.iter().map(|line| line.rsplit(' ').next().unwrap());
        let total = amounts.map(|amount| amount.parse::<i128>().unwrap()).sum::<i128>();
        assert_eq!(total, amount);
    }
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(credits(Model::Linear, 9, &[]), [""; 0]);
    assert_eq!(credits(Model::Linear, 9, &[(1, "a", None)]), [""; 0]);
}

#[derive(Clone, Debug)]
struct Row {
    customer: usize,
    ts: i64,
    touch: Option<&'static str>,
    goal: Option<i128>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Not in the order of the alphabet.
    let touch = prop::option::of(prop::sample::select(vec!["m", "c", "x", "a"]));
    let amount = prop_oneof![-9..99_i128, Just(i128::from(i64::MAX) * 5), Just(10_000_000_007)];
    let goal = prop::option::weighted(0.2, amount);
    let row = (prop::bool::weighted(0.1), 0..4_i64, touch, goal);
    prop::collection::vec(row, 0..60).prop_map(|rows| {
        let (mut customer, mut ts) = (0, 0);
        let rows = rows.into_iter().map(|(is_other, later, touch, goal)| {
            customer += usize::from(is_other);
            ts += later;
            Row { customer, ts, touch, goal }
        });
        rows.collect()
    })
}

fn fast(rule: AttributionRule, rows: &[Row], batches: &[usize]) -> Vec<(Option<String>, Credit)> {
    let mut attribution = Attribution::new(rule);
    let (mut rest, mut last) = (rows, None);
    for &length in batches.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (batch, others) = rest.split_at(length.min(rest.len()));
        let mut number = |touch| attribution.names().number(touch);
        let touches = batch.iter().map(|row| row.touch.map_or(Names::NONE, &mut number));
        let touches = touches.collect::<Vec<_>>();
        let ts = batch.iter().map(|row| row.ts).collect::<Vec<_>>();
        let columns = TouchRows { ts: &ts, touches: &touches };
        let mut from = 0;
        for same in batch.chunk_by(|a, b| a.customer == b.customer) {
            if last != Some(same[0].customer) {
                attribution.begin_customer();
            }
            last = Some(same[0].customer);
            let rows = from..from + same.len();
            let goals = rows.clone().zip(same);
            let goals = goals.filter_map(|(row, at)| Some(Goal { row, amount: at.goal? }));
            let goals = goals.collect::<Vec<_>>();
            let is_last = rows.end == batch.len();
            let rest = if is_last { Rest::MayGoOn } else { Rest::OthersOnly };
            attribution.observe_rows(&columns, rows.clone(), &goals, rest);
            from = rows.end;
        }
        rest = others;
    }
    attribution.finish()
}

fn one_by_one(rule: AttributionRule, rows: &[Row]) -> Vec<(Option<String>, Credit)> {
    let mut attribution = Attribution::new(rule);
    for same in rows.chunk_by(|a, b| a.customer == b.customer) {
        attribution.begin_customer();
        for row in same {
            let touch = row.touch.map(|touch| attribution.names().number(touch));
            attribution.observe(TouchEvent { ts: row.ts, touch, goal: row.goal });
        }
    }
    attribution.finish()
}

/// Where the share of each touch ends, by how long before the goal they were.
fn slow_ends(model: Model, ages: &[i64]) -> Vec<i64> {
    let count = ages.len() as i64;
    let middle = |place: i64| 400_000_000 + 200_000_000 * place / (count - 2);
    let end = |place: i64| match model {
        _ if place == count => WHOLE,
        Model::First => WHOLE,
        Model::Last => 0,
        Model::Position if count > 2 => middle(place - 1),
        Model::TimeDecay { half_life } => {
            let newest = ages[ages.len() - 1] as f64;
            let weight = |age: &i64| (-(*age as f64 - newest) / half_life as f64).exp2();
            let sum = |ages: &[i64]| ages.iter().map(weight).sum::<f64>();
            (sum(&ages[..place as usize]) / sum(ages) * WHOLE as f64).round() as i64
        }
        _ => WHOLE * place / count,
    };
    (1..=count).map(end).collect()
}

fn slow(rule: AttributionRule, rows: &[Row]) -> Vec<(Option<String>, i128, i128, u64)> {
    let mut credits = BTreeMap::<Option<String>, (i128, i128, BTreeSet<usize>)>::new();
    let mut add = |touch: Option<&str>, shares: i64, amount: i128, customer: usize| {
        let credit = credits.entry(touch.map(str::to_owned)).or_default();
        credit.0 += i128::from(shares);
        credit.1 += amount;
        credit.2.insert(customer);
    };
    for (goal, amount) in rows.iter().filter_map(|row| Some((row, row.goal?))) {
        let is_near = |row: &&Row| {
            row.customer == goal.customer
                && row.touch.is_some()
                && (0..=rule.within).contains(&(goal.ts - row.ts))
        };
        let mut touches = rows.iter().filter(is_near).collect::<Vec<_>>();
        touches.sort_by_key(|row| (row.ts, row.touch));
        if touches.is_empty() {
            add(None, WHOLE, amount, goal.customer);
        }
        let ages = touches.iter().map(|row| goal.ts - row.ts).collect::<Vec<_>>();
        let below = |end: i64| (amount * i128::from(end)).div_euclid(i128::from(WHOLE));
        let mut from = 0;
        for (row, end) in touches.iter().zip(slow_ends(rule.model, &ages)) {
            // The first and the last take all: nobody else has a part in the goal.
            if end > from || !matches!(rule.model, Model::First | Model::Last) {
                add(row.touch, end - from, below(end) - below(from), goal.customer);
            }
            from = end;
        }
    }
    let credits = credits.into_iter();
    credits.map(|(touch, (shares, amount, by))| (touch, shares, amount, by.len() as u64)).collect()
}

// If this fails, a campaign is paid for what another one did.
#[test]
fn credits_of_many_rows_are_those_of_each_goal_with_the_touches_before_it() {
    let model = prop::sample::select(vec![
        Model::First,
        Model::Last,
        Model::Linear,
        Model::Position,
        Model::TimeDecay { half_life: 3 },
    ]);
    let rule = (model, 0..20_i64).prop_map(|(model, within)| AttributionRule { model, within });
    let batches = prop::collection::vec(1..30_usize, 1..6);
    proptest!(|(rows in rows(), rule in rule, batches in batches)| {
        let plain = |mut credits: Vec<(Option<String>, Credit)>| {
            credits.sort_by(|a, b| a.0.cmp(&b.0));
            let credits = credits.into_iter();
            credits.map(|(touch, of)| (touch, of.shares, of.amount, of.customers)).collect::<Vec<_>>()
        };
        let expected = slow(rule, &rows);
        prop_assert_eq!(plain(fast(rule, &rows, &batches)), expected.clone());
        prop_assert_eq!(plain(one_by_one(rule, &rows)), expected);
    });
}

// If this fails, a customer who never ends takes ever more memory, or loses touches.
#[test]
fn touches_that_are_too_old_are_forgotten() {
    let mut attribution = Attribution::new(AttributionRule { model: Model::Linear, within: 10 });
    attribution.begin_customer();
    let name = attribution.names().number("mail");
    for ts in 0..10_000 {
        let goal = (ts % 7 == 0).then_some(100);
        attribution.observe(TouchEvent { ts, touch: Some(name), goal });
    }
    assert!(attribution.touches.len() < 3_000);
    let credits = attribution.finish();
    assert_eq!((credits[0].1.amount, credits.len()), (142_900, 1));
}

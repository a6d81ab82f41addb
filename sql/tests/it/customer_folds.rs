//! `event_paths`, `attribution` and `lookalike` answer what slow, obvious models answer. Breaks for
//! a user if this fails: a path, a campaign's share or a lookalike is wrong when events share a
//! time, come late, or are spread over files, threads and batches.

use crate::small_shop::{empty_database, rows_of, table_of};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use habitue_sql::{LocalFiles, Session};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// An event: whose (0 is nobody's), when, what, which campaign (0 is none), how much in cents.
type Event = (u8, i64, u8, u8, i64);

const NAMES: [&str; 4] = ["view", "buy", "search", "a_rather_long_name_of_an_event"];
const CAMPAIGNS: [&str; 4] = ["", "spring", "mail", "autumn"];

fn events() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let event = (0..5_u8, 0..25_i64, 0..4_u8, 0..4_u8, -300..900_i64);
    prop::collection::vec(prop::collection::vec(event, 1..40), 1..4)
}

/// A session over the events: each part is a commit, so that customers lie in several files.
async fn session_over(parts: &[Vec<Event>]) -> Session {
    let session = empty_database(LocalFiles::Refused).await.session();
    for (part, events) in parts.iter().enumerate() {
        let rows = events.iter().enumerate().map(|(row, &(who, ts, name, campaign, cents))| {
            let who = if who == 0 { "NULL".into() } else { format!("'u{who}'") };
            let campaign = match CAMPAIGNS[usize::from(campaign)] {
                "" => "NULL".into(),
                campaign => format!("'{campaign}'"),
            };
            let amount =
                if cents > 800 { "NULL".into() } else { format!("'{}'", cents as f64 / 100.) };
            let name = NAMES[usize::from(name)];
            format!("('{part}-{row}', to_timestamp({ts}), {who}, '{name}', {campaign}, {amount})")
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        let columns = "(event_id, ts, user_id, event, campaign, amount)";
        rows_of(&session, &format!("INSERT INTO events {columns} VALUES {rows}")).await.unwrap();
    }
    session
}

/// The events of each customer who is somebody.
fn by_customer(parts: &[Vec<Event>]) -> BTreeMap<u8, Vec<Event>> {
    let mut customers = BTreeMap::<u8, Vec<Event>>::new();
    for &event in parts.iter().flatten().filter(|event| event.0 > 0) {
        customers.entry(event.0).or_default().push(event);
    }
    customers
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is used")]
fn check(cases: u32, test: impl AsyncFn(&[Vec<Event>])) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    let result = runner.run(&events(), |parts| {
        runtime.block_on(test(&parts));
        Ok(())
    });
    result.unwrap();
}

/// The answer twice: of the walk, and of rows that the engine sorts.
async fn answers(session: &Session, call: &str) -> [Vec<RecordBatch>; 2] {
    let walked = rows_of(session, call).await.unwrap();
    rows_of(session, "SET habitue.customer_walk = off").await.unwrap();
    let sorted = rows_of(session, call).await.unwrap();
    rows_of(session, "SET habitue.customer_walk = on").await.unwrap();
    [walked, sorted]
}

fn texts(batch: &RecordBatch, column: usize) -> Vec<Option<String>> {
    let column = cast(batch.column(column), &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn floats(batch: &RecordBatch, column: usize) -> Vec<f64> {
    let column = cast(batch.column(column), &DataType::Float64).unwrap();
    column.as_primitive::<Float64Type>().values().to_vec()
}

fn wholes(batch: &RecordBatch, column: usize) -> Vec<i64> {
    batch.column(column).as_primitive::<Int64Type>().values().to_vec()
}

/// Which paths there are, how often, and by how many customers.
fn paths_of(
    parts: &[Vec<Event>],
    steps: usize,
    gap: Option<i64>,
    begins: Option<&str>,
) -> BTreeMap<Vec<String>, (i64, i64)> {
    let mut paths = BTreeMap::<Vec<String>, (i64, BTreeSet<u8>)>::new();
    for (customer, events) in by_customer(parts) {
        let mut events = events.iter().map(|event| (event.1, NAMES[usize::from(event.2)]));
        let mut events = events.by_ref().collect::<Vec<_>>();
        events.sort_unstable();
        for window in events.windows(steps) {
            let is_broken =
                |pair: &[(i64, &str)]| gap.is_some_and(|gap| pair[1].0 - pair[0].0 > gap);
            let begins = begins.is_none_or(|begins| window[0].1 == begins);
            if begins && !window.windows(2).any(is_broken) {
                let path = window.iter().map(|event| event.1.to_owned()).collect();
                let (times, customers) = paths.entry(path).or_default();
                *times += 1;
                customers.insert(customer);
            }
        }
    }
    let counted = paths.into_iter();
    counted.map(|(path, (times, who))| (path, (times, who.len() as i64))).collect()
}

#[test]
fn paths_are_those_of_a_slow_model() {
    check(12, async |parts: &[Vec<Event>]| {
        let session = session_over(parts).await;
        for (steps, gap, begins) in
            [(1, None, None), (2, Some(3), None), (3, None, Some("view")), (5, Some(2), None)]
        {
            let given = gap.map_or(String::new(), |gap| format!(", gap => {gap}"));
            let after = begins.map_or(String::new(), |name| format!(", after => event = '{name}'"));
            let call = format!("SELECT * FROM event_paths(steps => {steps}{given}{after})");
            let expected = paths_of(parts, steps, gap, begins);
            for batches in answers(&session, &call).await {
                let mut found = BTreeMap::new();
                for batch in &batches {
                    let names = (0..steps).map(|step| texts(batch, step)).collect::<Vec<_>>();
                    let (times, who) = (wholes(batch, steps), wholes(batch, steps + 1));
                    for row in 0..batch.num_rows() {
                        let path = names.iter().map(|names| names[row].clone().unwrap());
                        let path = path.collect::<Vec<_>>();
                        assert!(found.insert(path, (times[row], who[row])).is_none());
                    }
                }
                assert_eq!(found, expected, "{call}");
            }
        }
    });
}

/// What each campaign gets: conversions, cents, and who.
fn shares_of(
    parts: &[Vec<Event>],
    model: &str,
    within: i64,
) -> BTreeMap<Option<String>, (f64, f64, i64)> {
    let mut shares = BTreeMap::<Option<String>, (f64, f64, BTreeSet<u8>)>::new();
    for (customer, events) in by_customer(parts) {
        for &(_, now, name, _, cents) in &events {
            if NAMES[usize::from(name)] != "buy" {
                continue;
            }
            let cents = if cents > 800 { 0 } else { cents };
            let mut touches = events
                .iter()
                .filter(|event| event.3 > 0 && event.1 <= now && now - event.1 <= within)
                .map(|event| (event.1, CAMPAIGNS[usize::from(event.3)]))
                .collect::<Vec<_>>();
            touches.sort_unstable();
            let count = touches.len();
            let weight = |place: usize| match model {
                "first" => f64::from(place == 0),
                "last" => f64::from(place + 1 == count),
                "linear" => 1.0,
                "position" if count < 3 => 1.0,
                "position" if place == 0 || place + 1 == count => 0.4,
                "position" => 0.2 / (count - 2) as f64,
                _ => 0.5_f64.powf((now - touches[place].0) as f64 / 5.0),
            };
            let all = (0..count).map(weight).sum::<f64>();
            let mut give = |name: Option<String>, share: f64| {
                let entry = shares.entry(name).or_default();
                entry.0 += share;
                entry.1 += share * cents as f64;
                if share > 0.0 {
                    entry.2.insert(customer);
                }
            };
            if count == 0 {
                give(None, 1.0);
            }
            for (place, touch) in touches.iter().enumerate() {
                give(Some(touch.1.to_owned()), weight(place) / all);
            }
        }
    }
    let told = shares.into_iter().filter(|(_, share)| share.0 > 0.0);
    told.map(|(name, (share, cents, who))| (name, (share, cents, who.len() as i64))).collect()
}

#[test]
fn shares_of_campaigns_are_those_of_a_slow_model_and_add_up() {
    check(12, async |parts: &[Vec<Event>]| {
        let session = session_over(parts).await;
        for (model, within) in
            [("first", 9), ("last", 4), ("linear", 30), ("position", 12), ("time_decay", 15)]
        {
            let call = format!(
                "SELECT * FROM attribution(model => '{model}', within => {within}, \
                 goal => event = 'buy', half_life => 5)"
            );
            let expected = shares_of(parts, model, within);
            let cents = by_customer(parts).into_values().flatten().filter(|event| event.2 == 1);
            let cents = cents.map(|event| if event.4 > 800 { 0 } else { event.4 }).sum::<i64>();
            for batches in answers(&session, &call).await {
                let mut found = BTreeMap::new();
                for batch in &batches {
                    let names = texts(batch, 0);
                    let (shares, amounts) = (floats(batch, 1), floats(batch, 2));
                    let who = wholes(batch, 3);
                    for (row, name) in names.into_iter().enumerate() {
                        found.insert(name, (shares[row], amounts[row] * 100.0, who[row]));
                    }
                }
                let near = |a: f64, b: f64| (a - b).abs() < 0.5;
                assert!(found.keys().eq(expected.keys()), "{call}\n{found:?}\n{expected:?}");
                for (name, expected) in &expected {
                    let found = found[name];
                    let shares = (found.0 - expected.0).abs() < 1e-6;
                    assert!(shares && near(found.1, expected.1), "{call} {name:?} {found:?}");
                    assert_eq!(found.2, expected.2, "{call} {name:?}");
                }
                let all = found.values().map(|found| found.1).sum::<f64>();
                assert!((all - cents as f64).abs() < 1e-6, "{call}: {all}, wanted {cents}");
            }
        }
    });
}

/// Scores of all who are not the seed, by customer.
fn scores_of(parts: &[Vec<Event>], seed: u8, min_events: usize) -> Vec<(u8, f64)> {
    let profiles = by_customer(parts).into_iter().filter(|(_, events)| events.len() >= min_events);
    let profiles = profiles.map(|(customer, events)| {
        let count = |name: u8| events.iter().filter(|event| event.2 == name).count() as f64;
        (customer, [0, 1, 2, 3].map(count))
    });
    let profiles = profiles.collect::<BTreeMap<_, _>>();
    let Some(centre) = profiles.get(&seed) else {
        return Vec::new();
    };
    let dot = |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let score =
        |profile| dot(profile, centre) / (dot(profile, profile) * dot(centre, centre)).sqrt();
    let others = profiles.iter().filter(|(customer, _)| **customer != seed);
    others.map(|(&customer, profile)| (customer, score(profile))).collect()
}

#[test]
fn lookalikes_are_those_of_a_slow_model() {
    check(12, async |parts: &[Vec<Event>]| {
        let session = session_over(parts).await;
        for (seed, min_events) in [(1, 1), (2, 5)] {
            let expected = scores_of(parts, seed, min_events);
            for seeds in [
                format!("customer_of('user_id', 'u{seed}')"),
                format!("(SELECT customer_id FROM events WHERE user_id = 'u{seed}')"),
            ] {
                let call = format!(
                    "SELECT user_id, score FROM lookalike(seed => {seeds}, min_events => \
                     {min_events}) JOIN (SELECT DISTINCT customer_id, user_id FROM events) \
                     USING (customer_id)"
                );
                for batches in answers(&session, &call).await {
                    let mut found = BTreeMap::new();
                    for batch in &batches {
                        for (name, score) in texts(batch, 0).into_iter().zip(floats(batch, 1)) {
                            found.insert(name.unwrap(), score);
                        }
                    }
                    assert_eq!(found.len(), expected.len(), "{call}");
                    for (customer, score) in &expected {
                        let found = found[&format!("u{customer}")];
                        assert!((found - score).abs() < 1e-9, "{call}: {found}, wanted {score}");
                    }
                }
            }
        }
    });
}

#[tokio::test]
async fn folds_over_events_need_no_sort_and_no_shuffle() {
    let session = session_over(&[vec![(1, 1, 0, 1, 0), (1, 2, 1, 0, 100)]]).await;
    for call in ["event_paths(steps => 2)", "attribution(goal => event = 'buy')"] {
        let plan = table_of(&session, &format!("EXPLAIN SELECT * FROM {call}")).await;
        let fold = plan.split("CustomerFoldExec").nth(1).unwrap_or_default();
        assert!(fold.contains("CustomerWalkExec"), "{plan}");
        assert!(!fold.contains("SortExec") && !fold.contains("RepartitionExec"), "{plan}");
    }
}

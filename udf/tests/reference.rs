//! The functions give the same answers as slow, obvious models, however the rows are laid out.
//!
//! Each case goes through real SQL: one and several partitions, batches of one row and of many,
//! rows shuffled, rows sorted by group. The seed is printed; `HABITUE_SEED` sets another.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test panics to fail, and prints its seed"
)]

#[path = "reference/funnel_model.rs"]
mod funnel_model;
#[path = "reference/layouts.rs"]
mod layouts;

use std::collections::{BTreeMap, BTreeSet};

use habitue_udf::bitmap::Bitmap;
use habitue_udf::rfm_score::{Direction, Method, quantile_cuts, scores};
use habitue_udf::window_funnel::{Event, FunnelMode, FunnelRule, WindowFunnel};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use layouts::{Row, Sessions};

const MODES: [&str; 12] = [
    "default",
    "strict_once",
    "strict_increase",
    "strict_deduplication",
    "strict_order",
    "strict_order, allow_reentry",
    "strict_once, strict_deduplication",
    "strict_once, strict_order",
    "strict_increase, strict_deduplication",
    "strict_increase, strict_order, allow_reentry",
    "strict_order, strict_deduplication",
    "strict_once, strict_increase, strict_order, strict_deduplication",
];

fn runner(cases: u32) -> TestRunner {
    let seed: u64 = std::env::var("HABITUE_SEED")
        .ok()
        .map_or(42, |seed| seed.parse().expect("HABITUE_SEED is a number"));
    println!("HABITUE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, rng)
}

fn depth(rows: &[(i64, u32)], steps: u32, window: i64, mode: &str) -> u32 {
    let mut state = WindowFunnel::default();
    rows.iter().for_each(|&(ts, mask)| state.observe(Event { ts, mask }));
    state.answer(&FunnelRule { steps, window, mode: FunnelMode::parse(mode).unwrap() })
}

/// A funnel report that is off by one step misleads whoever reads it.
#[test]
fn funnel_is_the_model_for_all_inputs_of_three_rows() {
    let rows: Vec<(i64, u32)> = (0..24).map(|cell| (cell / 8, (cell % 8) as u32)).collect();
    for (first, &one) in rows.iter().enumerate() {
        for (second, &two) in rows.iter().enumerate().skip(first) {
            for &three in &rows[second..] {
                let rows = [three, one, two];
                for mode in MODES {
                    for window in 0..3 {
                        let expected = funnel_model::depth(&rows, 3, window, mode);
                        let came = depth(&rows, 3, window, mode);
                        assert_eq!(came, expected, "{mode} window={window} {rows:?}");
                    }
                }
            }
        }
    }
}

fn funnel_rows(most: usize, steps: u32) -> impl Strategy<Value = Vec<(i64, u32)>> {
    // Few conditions at once, as in life, and sometimes many.
    let mask = prop_oneof![3 => (0..steps).prop_map(|step| 1 << step), 2 => 0..1_u32 << steps];
    prop::collection::vec((0..8_i64, mask), 0..=most)
}

#[test]
fn funnel_is_the_model_for_random_rows() {
    let case = (funnel_rows(7, 4), 0..8_i64, prop::sample::select(&MODES[..]));
    let law = |(rows, window, mode): (Vec<(i64, u32)>, i64, &str)| {
        let expected = funnel_model::depth(&rows, 4, window, mode);
        prop_assert_eq!(depth(&rows, 4, window, mode), expected);
        Ok(())
    };
    runner(8_000).run(&case, law).unwrap();
}

/// Merging partial states in any grouping gives what one pass gives.
#[test]
fn funnel_parts_merge_in_any_order() {
    let case = (funnel_rows(12, 4), any::<u64>(), prop::sample::select(&MODES[..]));
    let law = |(rows, sides, mode): (Vec<(i64, u32)>, u64, &str)| {
        let rule = FunnelRule { steps: 4, window: 4, mode: FunnelMode::parse(mode).unwrap() };
        let mut parts = [WindowFunnel::default(), WindowFunnel::default()];
        for (index, &(ts, mask)) in rows.iter().enumerate() {
            parts[(sides >> index & 1) as usize].observe(Event { ts, mask });
        }
        let [mut left, mut right] = parts;
        let right_first = right.clone();
        right.merge(left.events());
        left.merge(right_first.events());
        let whole = depth(&rows, 4, 4, mode);
        prop_assert_eq!([left.answer(&rule), right.answer(&rule)], [whole, whole]);
        Ok(())
    };
    runner(2_000).run(&case, law).unwrap();
}

fn sql_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..4_i64, prop::option::weighted(0.9, 0..9_i64), 0..16_u32, 0..16_u32);
    let row = row.prop_map(|(group, ts, conditions, nulls)| Row {
        group,
        ts,
        conditions,
        null_conditions: nulls & (nulls >> 1),
    });
    prop::collection::vec(row, 0..40)
}

fn by_group(rows: &[Row]) -> BTreeMap<i64, Vec<&Row>> {
    let mut groups: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| groups.entry(row.group).or_default().push(row));
    groups
}

fn timed(rows: &[&Row]) -> Vec<(i64, u32)> {
    rows.iter().filter_map(|row| Some((row.ts?, row.true_conditions()))).collect()
}

/// The layout of the rows is the engine's affair; a customer's funnel must not depend on it.
#[test]
fn funnel_through_sql_does_not_depend_on_the_layout() {
    let sessions = Sessions::new();
    let case = (sql_rows(), 0..6_i64, prop::sample::select(&MODES[..]), any::<u64>());
    let law = |(rows, window, mode, shuffle): (Vec<Row>, i64, &str, u64)| {
        let groups = by_group(&rows);
        let expected: Vec<String> = groups
            .iter()
            .map(|(group, rows)| {
                format!("{group} {}", funnel_model::depth(&timed(rows), 4, window, mode))
            })
            .collect();
        let call = format!("window_funnel({window}, '{mode}', ts, c1, c2, c3, c4)");
        let sql = format!("SELECT g, {call} FROM rows GROUP BY g ORDER BY g");
        for came in sessions.answers(&sql, &rows, shuffle) {
            prop_assert_eq!(&came, &expected);
        }
        let all: Vec<&Row> = rows.iter().collect();
        let whole = funnel_model::depth(&timed(&all), 4, window, mode).to_string();
        for came in sessions.answers(&format!("SELECT {call} FROM rows"), &rows, shuffle) {
            prop_assert_eq!(came, [whole.clone()]);
        }
        Ok(())
    };
    runner(40).run(&case, law).unwrap();
}

#[test]
fn retention_through_sql_is_the_model() {
    let sessions = Sessions::new();
    let law = |(rows, shuffle): (Vec<Row>, u64)| {
        let model = |rows: &[&Row]| {
            let any = |condition: u32| rows.iter().any(|row| row.true_conditions() & condition > 0);
            let flags = [1, 2, 4, 8].map(|condition| u8::from(any(1) && any(condition)));
            format!("{flags:?}")
        };
        let expected: Vec<String> = by_group(&rows)
            .iter()
            .map(|(group, rows)| format!("{group} {}", model(rows)))
            .collect();
        let sql = "SELECT g, retention(c1, c2, c3, c4) FROM rows GROUP BY g ORDER BY g";
        for came in sessions.answers(sql, &rows, shuffle) {
            prop_assert_eq!(&came, &expected);
        }
        let all: Vec<&Row> = rows.iter().collect();
        for came in sessions.answers("SELECT retention(c1, c2, c3, c4) FROM rows", &rows, shuffle) {
            prop_assert_eq!(came, [model(&all)]);
        }
        Ok(())
    };
    runner(20).run(&(sql_rows(), any::<u64>()), law).unwrap();
}

/// The session of a row: how many times up to its own begin one.
fn session_model(rows: &[&Row], ts: i64, gap: i64) -> usize {
    let times: BTreeSet<i64> = rows.iter().filter_map(|row| row.ts).filter(|&t| t <= ts).collect();
    let begins = |&&time: &&i64| !times.iter().any(|&other| other < time && time - other <= gap);
    times.iter().filter(begins).count()
}

#[test]
fn sessions_through_sql_are_the_model() {
    let sessions = Sessions::new();
    let law = |(rows, gap, shuffle): (Vec<Row>, i64, u64)| {
        let mut expected = Vec::new();
        for (group, rows) in by_group(&rows) {
            for row in &rows {
                let session = row.ts.map(|ts| session_model(&rows, ts, gap).to_string());
                let ts = row.ts.map_or(String::new(), |ts| ts.to_string());
                expected.push(format!("{group} {ts} {}", session.unwrap_or_default()));
            }
        }
        expected.sort();
        for order in ["ORDER BY ts", "ORDER BY ts DESC", ""] {
            let sql = format!(
                "SELECT g, ts, sessionize(ts, {gap}) OVER (PARTITION BY g {order}) FROM rows"
            );
            for mut came in sessions.answers(&sql, &rows, shuffle) {
                came.sort();
                prop_assert_eq!(&came, &expected);
            }
        }
        Ok(())
    };
    runner(20).run(&(sql_rows(), 0..4_i64, any::<u64>()), law).unwrap();
}

#[test]
fn bitmap_aggregates_through_sql_are_sets() {
    let sessions = Sessions::new();
    let law = |(rows, shuffle): (Vec<Row>, u64)| {
        let groups = by_group(&rows);
        let times = |rows: &[&Row]| rows.iter().filter_map(|row| row.ts).collect::<BTreeSet<_>>();
        let expected: Vec<String> = groups
            .iter()
            .map(|(group, rows)| {
                let set = times(rows);
                format!("{group} {set:?} {}", set.len()).replace(['{', '}'], "|")
            })
            .collect();
        let sql = "SELECT g, bitmap_to_array(bitmap_agg(ts)), group_bitmap(ts) \
                   FROM rows GROUP BY g ORDER BY g";
        for came in sessions.answers(sql, &rows, shuffle) {
            let came: Vec<String> = came.iter().map(|row| row.replace(['[', ']'], "|")).collect();
            prop_assert_eq!(&came, &expected);
        }
        let sets: Vec<BTreeSet<i64>> = groups.values().map(|rows| times(rows)).collect();
        let union = sets.iter().fold(BTreeSet::new(), |all, set| &all | set);
        let common = sets.iter().cloned().reduce(|all, set| &all & &set).unwrap_or_default();
        let sql = "SELECT bitmap_union_count(b), bitmap_count(bitmap_intersect(b)), \
                   encode(bitmap_union(b), 'hex') \
                   FROM (SELECT g, bitmap_agg(ts) AS b FROM rows GROUP BY g)";
        let bytes: Bitmap = union.iter().map(|&value| value as u64).collect();
        let hex: String = bytes.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        for came in sessions.answers(sql, &rows, shuffle) {
            prop_assert_eq!(came, [format!("{} {} {hex}", union.len(), common.len())]);
        }
        Ok(())
    };
    runner(20).run(&(sql_rows(), any::<u64>()), law).unwrap();
}

fn set_of_numbers() -> impl Strategy<Value = BTreeSet<u64>> {
    let number = prop_oneof![0..30_u64, 65_530..65_545_u64, (1_u64 << 32) - 3..(1 << 32) + 9];
    prop::collection::btree_set(number, 0..40)
}

/// Two sets as a table `s (a, b)`.
fn with_sets(a: &BTreeSet<u64>, b: &BTreeSet<u64>) -> String {
    let bitmap = |set: &BTreeSet<u64>| {
        let numbers: Vec<String> = set.iter().map(u64::to_string).collect();
        format!("bitmap_from_array(arrow_cast([{}], 'List(Int64)'))", numbers.join(", "))
    };
    format!("WITH s AS (SELECT {} AS a, {} AS b)", bitmap(a), bitmap(b))
}

/// What `sub_bitmap`, `bitmap_subset_in_range` and `bitmap_subset_limit` must answer.
fn cuts_model(set: &BTreeSet<u64>, first: i64, second: i64) -> [Vec<u64>; 3] {
    let sorted: Vec<u64> = set.iter().copied().collect();
    let skip = if first < 0 { sorted.len() as i64 + first } else { first };
    let wanted = |at: i64| skip >= 0 && at >= skip && at < skip.saturating_add(second);
    let places = (0_i64..).zip(sorted.iter().copied());
    let by_position = places.filter(|(at, _)| wanted(*at)).map(|(_, value)| value).collect();
    let in_range = |&value: &u64| (value as i64) >= first && (value as i64) < second;
    let by_value = sorted.iter().copied().filter(in_range).collect();
    let by_limit = if second >= 0 {
        let up = sorted.iter().copied().filter(|&value| value as i64 >= first);
        up.take(second as usize).collect()
    } else {
        let down = sorted.iter().rev().copied().filter(|&value| value as i64 <= first);
        let mut taken: Vec<u64> = down.take(second.unsigned_abs() as usize).collect();
        taken.reverse();
        taken
    };
    [by_position, by_value, by_limit]
}

#[test]
fn bitmaps_from_sql_are_sets() {
    let sessions = Sessions::new();
    let case = (set_of_numbers(), set_of_numbers(), -50..50_i64, -50..50_i64);
    let law = |(a, b, first, second): (BTreeSet<u64>, BTreeSet<u64>, i64, i64)| {
        let vec = |set: BTreeSet<u64>| set.into_iter().collect::<Vec<_>>();
        let [by_position, by_value, by_limit] = cuts_model(&a, first, second);
        let calls = [
            ("bitmap_and(a, b)", vec(&a & &b)),
            ("bitmap_or(a, b)", vec(&a | &b)),
            ("bitmap_xor(a, b)", vec(&a ^ &b)),
            ("bitmap_andnot(a, b)", vec(&a - &b)),
            (&format!("sub_bitmap(a, {first}, {second})"), by_position),
            (&format!("bitmap_subset_in_range(a, {first}, {second})"), by_value),
            (&format!("bitmap_subset_limit(a, {first}, {second})"), by_limit),
        ];
        for (call, expected) in calls {
            let sql = format!("{} SELECT bitmap_to_array({call}) FROM s", with_sets(&a, &b));
            prop_assert_eq!(sessions.one(&sql), format!("{:?}", expected), "{}", call);
        }
        Ok(())
    };
    runner(20).run(&case, law).unwrap();
}

#[test]
fn questions_to_bitmaps_are_questions_to_sets() {
    let sessions = Sessions::new();
    let case = (set_of_numbers(), set_of_numbers(), -5..50_i64);
    let law = |(a, b, number): (BTreeSet<u64>, BTreeSet<u64>, i64)| {
        let show = |number: Option<&u64>| number.map_or(String::new(), u64::to_string);
        let contained = number >= 0 && a.contains(&(number as u64));
        let values = [
            ("bitmap_and_count(a, b)", (&a & &b).len().to_string()),
            ("bitmap_or_count(a, b)", (&a | &b).len().to_string()),
            ("bitmap_xor_count(a, b)", (&a ^ &b).len().to_string()),
            ("bitmap_andnot_count(a, b)", (&a - &b).len().to_string()),
            ("bitmap_count(a)", a.len().to_string()),
            ("bitmap_min(a)", show(a.first())),
            ("bitmap_max(a)", show(a.last())),
            ("bitmap_has_any(a, b)", (!a.is_disjoint(&b)).to_string()),
            ("bitmap_has_all(a, b)", a.is_superset(&b).to_string()),
            (&format!("bitmap_contains(a, {number})"), contained.to_string()),
        ];
        let calls: Vec<&str> = values.iter().map(|(call, _)| *call).collect();
        let expected: Vec<String> = values.iter().map(|(_, value)| value.clone()).collect();
        let sql = format!("{} SELECT {} FROM s", with_sets(&a, &b), calls.join(", "));
        prop_assert_eq!(sessions.one(&sql), expected.join(" "));
        Ok(())
    };
    runner(40).run(&case, law).unwrap();
}

/// The definition of a type 7 quantile, in whole numbers: five times each cut point.
fn cut_model(values: &[i64]) -> Vec<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let cut = |part: usize| {
        let place = (sorted.len() - 1) * part;
        let (low, high) = (sorted[place / 5], sorted[(place / 5 + 1).min(sorted.len() - 1)]);
        5 * low + (high - low) * (place % 5) as i64
    };
    (1..5).map(cut).collect()
}

#[test]
fn scores_are_cuts_strictly_below() {
    let law = |values: Vec<i64>| {
        let floats: Vec<f64> = values.iter().map(|&value| value as f64).collect();
        let cuts = cut_model(&values);
        let came: Vec<f64> = quantile_cuts(&floats, 5).iter().map(|cut| cut * 5.0).collect();
        for (came, &expected) in came.iter().zip(&cuts) {
            prop_assert!((came - expected as f64).abs() < 1e-9);
        }
        let expected: Vec<Option<i32>> = values
            .iter()
            .map(|&value| Some(1 + cuts.iter().filter(|&&cut| cut < 5 * value).count() as i32))
            .collect();
        prop_assert_eq!(scores(&floats, Direction::default(), &Method::default()), expected);
        Ok(())
    };
    runner(2_000).run(&prop::collection::vec(-20..20_i64, 1..30), law).unwrap();
}

#[test]
fn scores_through_sql_do_not_depend_on_the_layout() {
    let sessions = Sessions::new();
    let law = |(rows, shuffle): (Vec<Row>, u64)| {
        let mut expected = Vec::new();
        for (group, rows) in by_group(&rows) {
            let known: Vec<i64> = rows.iter().filter_map(|row| row.ts).collect();
            for row in &rows {
                let show = |ts: i64| {
                    let negated: Vec<i64> = known.iter().map(|ts| -ts).collect();
                    let below =
                        |cuts: &[i64], ts| 1 + cuts.iter().filter(|&&cut| cut < 5 * ts).count();
                    let (up, down) = (cut_model(&known), cut_model(&negated));
                    format!("{group} {ts} {} {}", below(&up, ts), below(&down, -ts))
                };
                expected.push(row.ts.map_or(format!("{group}   "), show));
            }
        }
        expected.sort();
        let sql = "SELECT g, ts, rfm_score(ts) OVER (PARTITION BY g), \
                   rfm_score(ts, 'desc') OVER (PARTITION BY g) FROM rows";
        for mut came in sessions.answers(sql, &rows, shuffle) {
            came.sort();
            prop_assert_eq!(&came, &expected);
        }
        Ok(())
    };
    runner(20).run(&(sql_rows(), any::<u64>()), law).unwrap();
}

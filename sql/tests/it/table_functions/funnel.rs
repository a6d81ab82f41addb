//! What breaks: the conversion of a shop is told wrong.

use super::{create_events, rows, session, session_with_events};
use proptest::prelude::{Just, Strategy, prop, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

const JOURNEYS: &str = "\
    (1, '2024-01-01 10:00:00', 'view', NULL), (1, '2024-01-01 10:00:40', 'cart', NULL), \
    (1, '2024-01-01 10:20:40', 'buy', 5), \
    (2, '2024-01-01 10:00:00', 'view', NULL), (2, '2024-01-01 12:00:00', 'cart', NULL), \
    (3, '2024-01-01 10:00:00', 'cart', NULL), (3, '2024-01-01 10:00:01', 'view', NULL), \
    (NULL, '2024-01-01 10:00:00', 'view', NULL), (4, NULL, 'view', NULL)";
const STEPS: &str = "event = 'view', event = 'cart', event = 'buy'";

#[tokio::test]
async fn steps_have_customers_conversions_and_times() {
    let context = session_with_events(JOURNEYS).await;
    let sql = format!("SELECT * FROM funnel({STEPS}) ORDER BY step");
    let expected = [
        "1 view 3 1.0 NULL NULL NULL",
        "2 cart 2 0.6666666666666666 0.6666666666666666 3620.0 6484.0",
        "3 buy 1 0.3333333333333333 0.5 1200.0 1200.0",
    ];
    assert_eq!(rows(&context, &sql).await, expected);
}

#[tokio::test]
async fn step_that_nobody_reached_is_told_as_zero() {
    let context = session_with_events(JOURNEYS).await;
    let sql = "SELECT customers, conversion, conversion_from_previous \
               FROM funnel(event = 'nothing', event = 'view') ORDER BY step";
    assert_eq!(rows(&context, sql).await, ["0 NULL NULL", "0 NULL NULL"]);
}

#[tokio::test]
async fn rules_change_who_counts() {
    let context = session_with_events(JOURNEYS).await;
    let cases = [
        ("within => INTERVAL '1' HOUR", ["3", "1", "1"]),
        ("within => 60", ["3", "1", "0"]),
        ("order => 'any'", ["3", "3", "1"]),
        ("order => 'strict'", ["3", "2", "1"]),
        ("tie => 'amplitude'", ["3", "3", "1"]),
        ("tie => INTERVAL '1' SECOND", ["3", "3", "1"]),
        ("exclude => event = 'cart'", ["3", "2", "0"]),
        ("hold_constant => channel", ["3", "1", "1"]),
    ];
    for (rule, expected) in cases {
        let relation = "(SELECT *, CASE WHEN ts < '2024-01-01 11:00:00' THEN 'web' ELSE 'app' END \
                        AS channel FROM events)";
        let sql =
            format!("SELECT customers FROM funnel({relation}, {STEPS}, {rule}) ORDER BY step");
        assert_eq!(rows(&context, &sql).await, expected, "{rule}");
    }
}

#[tokio::test]
async fn dates_and_integers_are_times_too() {
    let context = session_with_events(JOURNEYS).await;
    for (ts, within) in [("CAST(ts AS DATE)", "0"), ("extract(epoch FROM ts)::bigint", "7200")] {
        let sql = format!(
            "SELECT customers FROM funnel({STEPS}, ts => {ts}, within => {within}) ORDER BY step"
        );
        let customers = rows(&context, &sql).await;
        assert_eq!(customers[..2], ["3", if within == "0" { "3" } else { "2" }], "{ts}");
    }
}

#[derive(Debug, Clone)]
struct Case {
    events: Vec<(i64, i64, char)>,
    within: i64,
    order: &'static str,
    partitions: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let event = (1i64..5, 0i64..20, prop_oneof![Just('a'), Just('b'), Just('c'), Just('x')]);
    let order = prop_oneof![Just("ordered"), Just("strict")];
    (prop::collection::vec(event, 1..40), 0i64..20, order, 1usize..4)
        .prop_map(|(events, within, order, partitions)| Case { events, within, order, partitions })
}

/// Steps a, b, c by trying every start and, as each event fits one step, taking what comes next.
fn depth(events: &[(i64, char)], within: i64, order: &str) -> usize {
    let chain_from = |start: usize| {
        let (begun, mut depth) = (events[start].0, 0);
        for (ts, event) in &events[start..] {
            let wanted = "abc".chars().nth(depth);
            match wanted {
                Some(wanted) if wanted == *event && ts - begun <= within => depth += 1,
                Some(_) if order == "strict" => break,
                _ => {}
            }
        }
        depth
    };
    (0..events.len()).map(chain_from).max().unwrap_or(0)
}

#[test]
fn customers_per_step_are_those_of_a_slow_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 48, ..Config::default() });
    let test = |case: Case| {
        let mut case = case;
        // Distinct times: ties have tests of their own, beside the walk.
        let mut seen = std::collections::HashSet::new();
        case.events.retain(|(customer, ts, _)| seen.insert((*customer, *ts)));
        let mut reached = [0; 3];
        for customer in 1..5 {
            let mut own: Vec<_> =
                case.events.iter().filter(|e| e.0 == customer).map(|e| (e.1, e.2)).collect();
            own.sort_unstable();
            let depth = depth(&own, case.within, case.order);
            reached.iter_mut().take(depth).for_each(|count| *count += 1);
        }
        let values: Vec<_> = case
            .events
            .iter()
            .map(|(customer, ts, event)| {
                format!("({customer}, '1970-01-01 00:00:{ts:02}', '{event}', NULL)")
            })
            .collect();
        let sql = format!(
            "SELECT customers FROM funnel(event = 'a', event = 'b', event = 'c', \
             within => {}, order => '{}') ORDER BY step",
            case.within, case.order
        );
        let answer = runtime.block_on(async {
            let context = session(case.partitions);
            create_events(&context, &values.join(", ")).await;
            rows(&context, &sql).await
        });
        assert_eq!(answer, reached.map(|count| count.to_string()));
        Ok(())
    };
    runner.run(&cases(), test).unwrap();
}

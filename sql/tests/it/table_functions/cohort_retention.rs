//! What breaks: a report says that customers left who did not, or the other way round.

use super::{create_events, failure, rows, session, session_with_events};
use proptest::prelude::{Just, Strategy, prop, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const EVENTS: &str = "\
    (1, '2024-01-15 10:00:00', 'signup', NULL), (1, '2024-01-20 10:00:00', 'purchase', 10), \
    (1, '2024-03-01 10:00:00', 'purchase', 30), \
    (2, '2024-01-03 10:00:00', 'purchase', 99), (2, '2024-01-31 23:30:00', 'signup', NULL), \
    (2, '2024-02-10 10:00:00', 'purchase', 20), \
    (3, '2024-03-05 10:00:00', 'signup', NULL)";

#[tokio::test]
async fn months_without_anybody_are_zero_and_those_not_over_are_null() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT * FROM cohort_retention(as_of => DATE '2024-03-31') ORDER BY cohort, period";
    let through_march = [
        "2024-01-01 0 2 2 1.0",
        "2024-01-01 1 2 1 0.5",
        "2024-01-01 2 2 1 0.5",
        "2024-03-01 0 1 1 1.0",
        "2024-03-01 1 1 NULL NULL",
        "2024-03-01 2 1 NULL NULL",
    ];
    assert_eq!(rows(&context, sql).await, through_march);
    let during_march = rows(&context, &sql.replace("03-31", "03-30")).await;
    assert_eq!(during_march[2], "2024-01-01 2 2 NULL NULL");
    assert_eq!(during_march[3], "2024-03-01 0 1 NULL NULL");
}

#[tokio::test]
async fn returns_before_the_start_do_not_count() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT period, customers, retained, rate FROM cohort_retention(\
               start => event = 'signup', return => event = 'purchase') \
               WHERE cohort = '2024-01-01' ORDER BY period";
    assert_eq!(rows(&context, sql).await, ["0 2 1 0.5", "1 2 1 0.5", "2 2 1 0.5"]);
    let amount = sql.replace("'purchase')", "'purchase', measure => 'amount')");
    assert_eq!(
        rows(&context, &amount).await,
        ["0 2 10.0000 1.0", "1 2 20.0000 2.0", "2 2 30.0000 3.0"]
    );
}

#[tokio::test]
async fn calendar_follows_the_time_zone() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT cohort, period, customers FROM cohort_retention(start => event = 'signup', \
               tz => 'Europe/Athens', periods => 0) ORDER BY cohort";
    let cohorts = ["2024-01-01 0 1", "2024-02-01 0 1", "2024-03-01 0 1"];
    assert_eq!(rows(&context, sql).await, cohorts);
}

#[tokio::test]
async fn unbounded_counts_who_comes_then_or_later() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT period, retained FROM cohort_retention(kind => 'unbounded') \
               WHERE cohort = '2024-01-01' ORDER BY period";
    assert_eq!(rows(&context, sql).await, ["0 2", "1 2", "2 1"]);
}

#[tokio::test]
async fn brackets_are_told_by_their_first_period_and_keep_empty_cohorts() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT period, customers, retained FROM cohort_retention(unit => 'day', \
               brackets => [1, 7, 60], as_of => DATE '2024-04-01') \
               WHERE cohort IN ('2024-01-15', '2024-03-05') ORDER BY cohort, period";
    assert_eq!(rows(&context, sql).await, ["1 1 1", "7 1 1", "1 1 0", "7 1 NULL"]);
}

#[tokio::test]
async fn members_are_who_was_counted() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT period, retained, bitmap_to_array(members) FROM cohort_retention(\
               members => true, as_of => DATE '2024-03-31') \
               WHERE cohort = '2024-01-01' ORDER BY period";
    assert_eq!(rows(&context, sql).await, ["0 2 [1, 2]", "1 1 [2]", "2 1 [1]"]);
}

#[tokio::test]
async fn no_events_have_no_cohorts() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT * FROM cohort_retention((SELECT * FROM events WHERE false))";
    assert!(rows(&context, sql).await.is_empty());
}

#[tokio::test]
async fn amounts_that_are_no_numbers_are_refused() {
    let context = session_with_events(EVENTS).await;
    let sql = "SELECT * FROM cohort_retention(measure => 'amount', amount => event)";
    assert!(failure(&context, sql).await.contains("argument `amount`"));
}

#[derive(Debug, Clone)]
struct Case {
    /// Customer, day from 1970-01-01, whether it starts, whether it returns, amount.
    events: Vec<(i64, i64, bool, bool, i64)>,
    kind: &'static str,
    measure: &'static str,
    as_of: i64,
    partitions: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let flag = || prop_oneof![Just(true), Just(false)];
    let event = (1i64..6, 0i64..60, flag(), flag(), -5i64..50);
    let kind = prop_oneof![Just("bounded"), Just("unbounded"), Just("bracket")];
    let measure = prop_oneof![Just("customers"), Just("amount")];
    (prop::collection::vec(event, 1..30), kind, measure, 0i64..80, 1usize..4).prop_map(
        |(events, kind, measure, as_of, partitions)| Case {
            events,
            kind,
            measure,
            as_of,
            partitions,
        },
    )
}

const EDGES: [i64; 4] = [0, 1, 3, 6];

/// Cohort and period (weeks) with customers and what was retained, told for every cell.
fn slow_cells(case: &Case) -> Vec<String> {
    let week = |day: i64| (day + 3).div_euclid(7);
    let counted: Vec<_> = case.events.iter().filter(|event| event.1 <= case.as_of).collect();
    let mut begins = BTreeMap::new();
    for (customer, day, starts, ..) in &counted {
        if *starts {
            let begin = begins.entry(*customer).or_insert(*day);
            *begin = (*begin).min(*day);
        }
    }
    let visits: Vec<(i64, i64, i64, i64)> = counted
        .iter()
        .filter(|(customer, day, _, returns, _)| {
            *returns && begins.get(customer).is_some_and(|begin| begin <= day)
        })
        .map(|(customer, day, _, _, amount)| {
            let cohort = week(begins[customer]);
            (cohort, week(*day) - cohort, *customer, *amount)
        })
        .collect();
    let places = match case.kind {
        "bracket" => EDGES.windows(2).map(|edge| (edge[0], edge[1] - 1)).collect(),
        _ => {
            let last = visits.iter().map(|visit| visit.1).max().unwrap_or(0);
            (0..=last).map(|period| (period, period)).collect::<Vec<_>>()
        }
    };
    let cohorts: BTreeSet<i64> = begins.values().map(|day| week(*day)).collect();
    let mut cells = Vec::new();
    for cohort in cohorts {
        let size = begins.values().filter(|day| week(**day) == cohort).count();
        for (first, last) in &places {
            let counts = |period: i64| match case.kind {
                "unbounded" => period >= *first,
                _ => (*first..=*last).contains(&period),
            };
            let inside = visits.iter().filter(|visit| visit.0 == cohort && counts(visit.1));
            let retained = if case.measure == "customers" {
                inside.map(|visit| visit.2).collect::<BTreeSet<_>>().len().to_string()
            } else {
                format!("{}.0000", inside.map(|visit| visit.3).sum::<i64>())
            };
            // The day of as_of counts wholly, so the next day tells which week is not over.
            let is_over = cohort + last < week(case.as_of + 1);
            let retained = if is_over { retained } else { "NULL".to_owned() };
            cells.push(format!("{cohort} {first} {size} {retained}"));
        }
    }
    cells
}

#[test]
fn cells_are_those_of_a_slow_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 48, ..Config::default() });
    let test = |case: Case| {
        let values: Vec<_> = case
            .events
            .iter()
            .map(|(customer, day, starts, returns, amount)| {
                let event = format!("{}{}", u8::from(*starts), u8::from(*returns));
                format!(
                    "({customer}, arrow_cast({}, 'Timestamp(Second, None)'), '{event}', {amount})",
                    day * 86_400 + 3600
                )
            })
            .collect();
        let brackets = if case.kind == "bracket" { ", brackets => [0, 1, 3, 6]" } else { "" };
        let sql = format!(
            "SELECT calendar_period('week', cohort), period, customers, retained \
             FROM cohort_retention(unit => 'week', kind => '{}', measure => '{}'{brackets}, \
             start => event IN ('10', '11'), return => event IN ('01', '11'), \
             as_of => arrow_cast(arrow_cast({}, 'Int32'), 'Date32')) ORDER BY cohort, period",
            case.kind, case.measure, case.as_of
        );
        let answer = runtime.block_on(async {
            let context = session(case.partitions);
            create_events(&context, &values.join(", ")).await;
            rows(&context, &sql).await
        });
        assert_eq!(answer, slow_cells(&case), "{sql}");
        Ok(())
    };
    runner.run(&cases(), test).unwrap();
}

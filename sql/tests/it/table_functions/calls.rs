//! What breaks: people cannot find out what they wrote wrong, or a right call is refused.

use super::{failure, rows, session_with_events};

const EVENTS: &str = "(1, '2024-01-01 10:00:00', 'visit', NULL), \
                      (1, '2024-01-02 10:00:00', 'purchase', 10)";

#[tokio::test]
async fn relation_is_a_table_a_subquery_a_cte_or_events_when_left_out() {
    let context = session_with_events(EVENTS).await;
    let steps = "event = 'visit', event = 'purchase'";
    let calls = [
        format!("SELECT customers FROM funnel({steps}) ORDER BY step"),
        format!("SELECT customers FROM funnel(events, {steps}) ORDER BY step"),
        format!("SELECT customers FROM funnel((SELECT * FROM events), {steps}) ORDER BY step"),
        format!("SELECT customers FROM funnel({steps}, relation => events) ORDER BY step"),
        format!(
            "WITH e AS (SELECT * FROM events) SELECT customers FROM funnel(e, {steps}) ORDER BY step"
        ),
        format!("SELECT f.customers FROM funnel({steps}) AS f ORDER BY f.step"),
        format!(
            "SELECT funnel.customers FROM funnel(datafusion.public.events, {steps}) ORDER BY 1"
        ),
    ];
    for call in calls {
        assert_eq!(rows(&context, &call).await, ["1", "1"], "{call}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_told_with_what_is_wanted() {
    let context = session_with_events(EVENTS).await;
    let cases = [
        ("cohort_retention(unti => 'day')", "did you mean `unit`?"),
        ("cohort_retention(unit => 'fortnight')", "came='fortnight', wanted='day', 'week' or"),
        ("cohort_retention(unit => 5)", "argument `unit` of cohort_retention is wrong. came=5"),
        ("cohort_retention(tz => 'Europe/Atlantis')", "came='Europe/Atlantis', wanted=a time zone"),
        ("cohort_retention(kind => 'bracket')", "argument `brackets`"),
        ("cohort_retention(brackets => [3, 1])", "at least two rising periods"),
        ("cohort_retention(start => 1)", "wants a condition. came=`1` of type Int64"),
        ("cohort_retention(ts => event)", "argument `ts` of cohort_retention is wrong"),
        ("cohort_retention(as_of => ts)", "came=`ts`, which is not a constant"),
        ("cohort_retention(as_of => 'soon')", "argument `as_of`"),
        ("cohort_retention(events, 5)", "give it a name. came=`5`"),
        ("cohort_retention(unit => 'day', unit => 'week')", "two values"),
        ("cohort_retention(nothing)", "nothing"),
        ("rfm(customer => user_id)", "user_id"),
        (
            "rfm((SELECT ts, amount FROM events))",
            "no column `customer_id` in the relation (ts, amount)",
        ),
        ("rfm(window => INTERVAL '-1' DAY)", "argument `window` of rfm"),
        ("rfm(method => 'magic')", "wanted='quantile' or 'ntile'"),
        ("funnel(events)", "1 to 31 steps"),
        ("funnel(event = 'visit', within => INTERVAL '1' MONTH)", "within"),
        ("funnel(event = 'visit', within => -1)", "within"),
        ("funnel(event = 'visit', order => 'random')", "'ordered', 'strict' or 'any'"),
        ("funnel(event = 'visit', order => 'any', tie => 'mixpanel')", "tie"),
        ("funnel(customer_id)", "wants a condition. came=`customer_id` of type Int64"),
        ("connected_components(events, ts, event)", "argument `b` of connected_components"),
    ];
    for (call, wanted) in cases {
        let message = failure(&context, &format!("SELECT * FROM {call}")).await;
        assert!(message.contains(wanted), "{call}\nwanted: {wanted}\ncame: {message}");
    }
}

//! The other functions about customers, each by its name in SQL.

use crate::shop::ask;
use criterion::Criterion;

const QUESTIONS: [(&str, &str); 8] = [
    ("cohort_retention", "SELECT * FROM cohort_retention(unit => 'month')"),
    ("rfm", "SELECT segment, count(*) FROM rfm(as_of => DATE '2025-12-31') GROUP BY segment"),
    ("event_paths", "SELECT * FROM event_paths(steps => 3) ORDER BY times DESC LIMIT 20"),
    ("attribution", "SELECT * FROM attribution(touch => channel, model => 'position')"),
    ("lookalike", "SELECT * FROM lookalike(seed => 1, size => 100)"),
    ("customer_profile", "SELECT sum(spent) FROM customer_profile()"),
    (
        "distinct_customers",
        "SELECT date_trunc('day', ts), channel, count(DISTINCT customer_id) FROM events \
         GROUP BY 1, 2",
    ),
    (
        "json_member",
        "SELECT properties->>'country', count(DISTINCT customer_id) FROM events GROUP BY 1",
    ),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    ask(criterion, "customer_functions", &QUESTIONS);
}

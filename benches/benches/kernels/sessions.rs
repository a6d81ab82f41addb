//! `sessions`: each customer's events, cut where nothing happened for half an hour.

use crate::shop::ask;
use criterion::Criterion;

const NUMBERED: &str = "SELECT customer_id, sessionize(ts, INTERVAL '30' MINUTE) \
                        OVER (PARTITION BY customer_id ORDER BY ts) AS session FROM events";

pub(crate) fn bench(criterion: &mut Criterion) {
    let counted = format!(
        "SELECT sum(sessions) FROM (SELECT customer_id, max(session) AS sessions \
         FROM ({NUMBERED}) GROUP BY customer_id)"
    );
    ask(criterion, "sessions", &[("sessionize", NUMBERED), ("counted", &counted)]);
}

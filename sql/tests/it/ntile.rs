//! `ntile` without a sort. Breaks for a user if this fails: scores of many customers sort all of them
//! for each score, or an ORDER BY is not kept. What it answers is in `ntile.slt`.

use crate::small_shop::{small_shop, table_of};

const TWO_SCORES: &str = "SELECT r, f, count(*) FROM (SELECT ntile(5) OVER (ORDER BY v, w) AS r, \
                          ntile(5) OVER (ORDER BY w DESC) AS f \
                          FROM (VALUES (1, 2), (3, 4)) AS rows(v, w)) GROUP BY r, f";

#[tokio::test]
async fn scores_inside_a_query_are_made_without_a_sort() {
    let session = small_shop().await.session();
    let plan = table_of(&session, &format!("EXPLAIN {TWO_SCORES}")).await;
    assert_eq!(plan.matches("NtileExec: parts=[5]").count(), 2, "{plan}");
    assert!(!plan.contains("SortExec") && !plan.contains("WindowAggExec"), "{plan}");
}

#[tokio::test]
async fn an_order_that_somebody_needs_is_made() {
    let session = small_shop().await.session();
    for needs_order in [
        "SELECT v, ntile(5) OVER (ORDER BY v) AS n FROM (VALUES (1), (2)) AS rows(v) ORDER BY v",
        "SELECT v, sum(n) OVER (ORDER BY v) FROM (SELECT v, ntile(5) OVER (ORDER BY v) AS n \
         FROM (VALUES (1), (2)) AS rows(v))",
        "SELECT max(n) FROM (SELECT ntile(5) OVER (PARTITION BY v ORDER BY v) AS n \
         FROM (VALUES (1), (2)) AS rows(v))",
    ] {
        let plan = table_of(&session, &format!("EXPLAIN {needs_order}")).await;
        assert!(plan.contains("WindowAggExec") && plan.contains("SortExec"), "{plan}");
    }
}

//! What the demo asks, in the SQL that anybody can ask.

/// A question and how it is asked.
pub(super) struct Question {
    /// What one wants to know.
    pub(super) title: &'static str,
    /// The statement that answers it.
    pub(super) sql: &'static str,
}

/// The demo's segments, each built on events or on segments before it.
pub(super) const SEGMENTS: [&str; 5] = [
    "CREATE SEGMENT buyers COMMENT 'bought at least once' AS
SELECT DISTINCT customer_id FROM events WHERE event = 'purchase'",
    "CREATE SEGMENT vip COMMENT 'spent 400 or more, returns taken off' AS
SELECT customer_id FROM events GROUP BY customer_id HAVING sum(amount) >= 400",
    "CREATE SEGMENT active COMMENT 'seen in the last 60 days of the year' AS
SELECT DISTINCT customer_id FROM events
WHERE ts >= TIMESTAMP '2025-11-02T00:00:00Z' AND channel <> 'email'",
    "CREATE SEGMENT lapsed COMMENT 'bought once, not seen for 60 days' AS
SELECT customer_id FROM segment('buyers') WHERE NOT in_segment(customer_id, 'active')",
    "CREATE SEGMENT deserted_carts COMMENT 'filled a cart, never bought' AS
SELECT customer_id FROM events GROUP BY customer_id
HAVING window_funnel(INTERVAL '1' DAY, ts, event = 'product_view', event = 'add_to_cart') = 2
   AND count(*) FILTER (WHERE event = 'purchase') = 0",
];

/// The report.
pub(super) const QUESTIONS: [Question; 6] = [
    Question {
        title: "Why rows were rejected",
        sql: "SELECT regexp_replace(reason, '''[^'']*''', '…') AS reason, count(*) AS rows
FROM system.rejected_events GROUP BY 1 ORDER BY rows DESC, reason",
    },
    Question {
        title: "Who the customers are: identifiers that belong together",
        sql: "SELECT count(*) AS customers, sum(identifiers) AS identifiers,
       max(identifiers) AS most_of_one, count(*) FILTER (WHERE identifiers > 1) AS stitched
FROM customers",
    },
    Question {
        title: "The segments",
        sql: "SELECT name, customers, uses, comment FROM system.segments ORDER BY customers DESC",
    },
    Question {
        title: "Funnel: from the visit to the purchase within a day",
        sql: "SELECT step, name, customers, round(100 * conversion, 1) AS percent,
       round(100 * conversion_from_previous, 1) AS of_previous,
       round(median_seconds / 60, 1) AS median_minutes
FROM funnel(event = 'visit', event = 'product_view', event = 'add_to_cart',
            event = 'checkout', event = 'purchase', within => INTERVAL '1' DAY)
ORDER BY step",
    },
    Question {
        title: "Cohorts: of 100 first-time buyers of a month, how many buy again",
        sql: "SELECT cohort, max(customers) AS buyers,
       round(100 * max(rate) FILTER (WHERE period = 1)) AS \"+1\",
       round(100 * max(rate) FILTER (WHERE period = 2)) AS \"+2\",
       round(100 * max(rate) FILTER (WHERE period = 3)) AS \"+3\",
       round(100 * max(rate) FILTER (WHERE period = 4)) AS \"+4\",
       round(100 * max(rate) FILTER (WHERE period = 5)) AS \"+5\",
       round(100 * max(rate) FILTER (WHERE period = 6)) AS \"+6\",
       round(100 * max(rate) FILTER (WHERE period = 7)) AS \"+7\",
       round(100 * max(rate) FILTER (WHERE period = 8)) AS \"+8\"
FROM cohort_retention(unit => 'month', start => event = 'purchase',
                      return => event = 'purchase', as_of => DATE '2026-01-01')
GROUP BY cohort ORDER BY cohort",
    },
    Question {
        title: "RFM: recency, frequency and money at the end of the year",
        sql: "SELECT segment, count(*) AS customers, round(avg(recency_days)) AS days_since_last,
       round(avg(frequency), 1) AS purchases, round(avg(monetary_total), 2) AS spent
FROM rfm(as_of => DATE '2025-12-31')
GROUP BY segment ORDER BY spent DESC",
    },
];

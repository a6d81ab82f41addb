//! Segments of many shapes, with what a refresh of each has to evaluate.

/// Segments with what a refresh has to evaluate for them.
pub(super) const DEFINITIONS: [(&str, Refresh, &str); 52] = [
    ("seen", Refresh::Changed, "SELECT customer_id FROM events"),
    (
        "buyers",
        Refresh::Changed,
        "SELECT DISTINCT customer_id FROM events e WHERE e.event = 'purchase'",
    ),
    (
        "rich",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event = 'purchase' \
        GROUP BY customer_id HAVING sum(amount) > 60 AND count(*) FILTER (WHERE amount > 20) >= 2",
    ),
    (
        "recent",
        Refresh::Changed,
        "SELECT customer_id FROM events \
        WHERE ts >= now() - INTERVAL '10 days' AND ts < now()",
    ),
    (
        "lapsed",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event <> 'refund' \
        GROUP BY customer_id HAVING max(ts) < now() - INTERVAL '15 days'",
    ),
    (
        "days",
        Refresh::Changed,
        "SELECT customer_id FROM events \
        WHERE ts::date BETWEEN current_date - 7 AND current_date AND event = 'visit'",
    ),
    (
        "hot_and_cold",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE ts > now() - INTERVAL '5 days') = 0 \
        AND count(*) FILTER (WHERE ts > now() - INTERVAL '20 days') > 0",
    ),
    (
        "old_customers",
        Refresh::Changed,
        "SELECT customer_id FROM customers \
        WHERE first_seen < now() - INTERVAL '30 days' AND identifiers > 1",
    ),
    (
        "rich_recent",
        Refresh::Changed,
        "SELECT customer_id FROM segment('rich') \
        INTERSECT SELECT customer_id FROM segment('recent')",
    ),
    (
        "at_most_one_refund",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event = 'refund' AND amount > 0 \
         GROUP BY customer_id HAVING count(*) < 2",
    ),
    (
        "not_recent",
        Refresh::Changed,
        "SELECT customer_id FROM customers EXCEPT SELECT customer_id FROM segment('recent')",
    ),
    (
        "not_rich",
        Refresh::Changed,
        "SELECT customer_id FROM events \
        WHERE event = 'visit' AND NOT in_segment(customer_id, 'rich')",
    ),
    (
        "without_purchase",
        Refresh::Changed,
        "SELECT customer_id FROM customers \
        EXCEPT SELECT customer_id FROM events WHERE event = 'purchase'",
    ),
    (
        "joined",
        Refresh::Changed,
        "SELECT a.customer_id FROM events a JOIN events b \
        ON a.customer_id = b.customer_id AND a.ts < b.ts \
        WHERE a.event = 'visit' AND b.event = 'purchase'",
    ),
    (
        "subquery",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event = 'refund' \
        AND customer_id IN (SELECT customer_id FROM events WHERE event = 'visit')",
    ),
    (
        "correlated",
        Refresh::Changed,
        "SELECT customer_id FROM events e WHERE event = 'visit' \
        AND EXISTS (SELECT 1 FROM events p WHERE p.customer_id = e.customer_id \
                    AND p.event = 'purchase' AND p.amount > 20)",
    ),
    (
        "second",
        Refresh::Changed,
        "SELECT customer_id FROM (SELECT customer_id, event, \
        row_number() OVER (PARTITION BY customer_id ORDER BY ts, event_id) AS place FROM events) t \
        WHERE place = 2 AND event = 'purchase'",
    ),
    (
        "funnel",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING window_funnel(INTERVAL '9' DAY, ts, event = 'visit', event = 'purchase') = 2",
    ),
    (
        "either",
        Refresh::Changed,
        "SELECT customer_id FROM segment('buyers') \
        UNION SELECT customer_id FROM events WHERE event = 'refund'",
    ),
    (
        "two_purchases",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event = 'purchase' \
        GROUP BY customer_id HAVING count(*) >= 2",
    ),
    (
        "no_refund",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'refund') = 0",
    ),
    (
        "visits_without_refund",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event <> 'purchase' GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'refund') < 1",
    ),
    (
        "buyers_without_refund",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'purchase') > 0 \
        AND count(*) FILTER (WHERE event = 'refund' AND ts > now() - INTERVAL '10 days') = 0",
    ),
    (
        "two_lately",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING \
        2 <= count(*) FILTER (WHERE event = 'purchase' AND ts >= now() - INTERVAL '12 days')",
    ),
    (
        "since_may",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event = 'visit' GROUP BY customer_id \
        HAVING max(ts) > TIMESTAMP '2026-05-20T00:00:00Z'",
    ),
    (
        "not_since_may",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING max(ts) < TIMESTAMP '2026-05-20T00:00:00Z'",
    ),
    (
        "no_visit_since_may",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING max(ts) FILTER (WHERE event = 'visit') <= TIMESTAMP '2026-05-20T00:00:00Z'",
    ),
    (
        "young",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING min(ts) >= TIMESTAMP '2026-05-10T00:00:00Z'",
    ),
    (
        "ever_negative",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING min(amount) < -5",
    ),
    (
        "never_large",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING max(amount) <= 35",
    ),
    (
        "spent",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING sum(amount) > 30",
    ),
    (
        "spent_or_no_refund",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING sum(amount) > 30 \
        OR count(*) FILTER (WHERE event = 'refund') = 0",
    ),
    (
        "average",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING avg(amount) FILTER (WHERE event <> 'visit') > 15",
    ),
    (
        "a_few",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING count(*) BETWEEN 2 AND 4",
    ),
    (
        "exactly_one",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'purchase') = 1",
    ),
    (
        "any_purchase",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'purchase') <> 0",
    ),
    (
        "not_many",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING NOT (count(*) > 3)",
    ),
    (
        "always",
        Refresh::Changed,
        "SELECT customer_id FROM events WHERE event = 'refund' GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'visit') >= 0",
    ),
    (
        "all_kinds",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING count(DISTINCT event) >= 3",
    ),
    (
        "few_amounts",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING count(amount) < 2",
    ),
    (
        "never_an_amount",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING max(amount) IS NULL",
    ),
    (
        "more_visits",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id \
        HAVING count(*) FILTER (WHERE event = 'visit') > count(*) FILTER (WHERE event = 'refund')",
    ),
    (
        "several_names",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING \
        identifier_count(customer_id) > 2 AND count(*) FILTER (WHERE event = 'purchase') > 0",
    ),
    (
        "visits_of_rich",
        Refresh::Changed,
        "SELECT customer_id FROM events GROUP BY customer_id HAVING \
        count(*) FILTER (WHERE event = 'visit' AND in_segment(customer_id, 'rich')) > 1",
    ),
    (
        "after_recent",
        Refresh::Changed,
        "SELECT e.customer_id FROM events e JOIN segment('recent') r \
        ON r.customer_id = e.customer_id WHERE e.event = 'refund' AND e.amount > 10",
    ),
    (
        "bought_and_visited",
        Refresh::Changed,
        "SELECT a.customer_id FROM events a JOIN events b ON a.customer_id = b.customer_id \
        WHERE a.event = 'purchase' AND a.amount > 30 AND b.event = 'visit'",
    ),
    (
        "visit_without_refund",
        Refresh::Changed,
        "SELECT customer_id FROM events e WHERE event = 'visit' AND NOT EXISTS \
        (SELECT 1 FROM events r WHERE r.customer_id = e.customer_id AND r.event = 'refund')",
    ),
    (
        "not_in",
        Refresh::Everybody,
        "SELECT customer_id FROM events WHERE customer_id NOT IN \
        (SELECT customer_id FROM events WHERE event = 'purchase')",
    ),
    (
        "best",
        Refresh::Everybody,
        "SELECT customer_id FROM events WHERE customer_id IS NOT NULL \
        GROUP BY customer_id ORDER BY coalesce(sum(amount), 0) DESC, customer_id LIMIT 3",
    ),
    (
        "above_average",
        Refresh::Everybody,
        "SELECT customer_id FROM events \
        WHERE amount > (SELECT avg(amount) FROM events)",
    ),
    (
        "one_if_recent",
        Refresh::Everybody,
        "SELECT customer_of('user_id', 'u1') \
         WHERE in_segment(customer_of('user_id', 'u1'), 'recent')",
    ),
    (
        "by_age",
        Refresh::Everybody,
        "SELECT customer_id FROM events \
        WHERE now() - ts < INTERVAL '10 days'",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    Changed,
    Everybody,
}

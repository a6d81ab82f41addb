//! `customers`: everybody who has an event, with the newest of their traits.
//!
//! A view over `events`, so that a filter on customer_id leaves out files and rows there.

/// What `customers` is.
pub(crate) const CUSTOMERS_SQL: &str = r"
SELECT
    customer_id,
    min(ts) AS first_seen,
    max(ts) AS last_seen,
    count(*) AS events,
    identifier_count(customer_id) AS identifiers,
    latest_traits(properties, ts) FILTER (WHERE event = '$identify') AS traits,
    max(ts) FILTER (WHERE event = '$identify' AND properties IS NOT NULL) AS traits_at
FROM habitue.main.events
WHERE customer_id IS NOT NULL
GROUP BY customer_id";

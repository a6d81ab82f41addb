//! `funnel`: how far each customer came, by the table function and by the aggregate.

use crate::shop::ask;
use criterion::Criterion;

const FUNNEL: &str = "SELECT * FROM funnel(event = 'product_view', event = 'add_to_cart', \
                      event = 'purchase', within => INTERVAL '7' DAY)";
const WINDOW_FUNNEL: &str = "SELECT level, count(*) FROM (SELECT window_funnel(INTERVAL '7' DAY, \
                             ts, event = 'product_view', event = 'add_to_cart', \
                             event = 'purchase') AS level FROM events GROUP BY customer_id) \
                             GROUP BY level";

pub(crate) fn bench(criterion: &mut Criterion) {
    ask(criterion, "funnel", &[("funnel", FUNNEL), ("window_funnel", WINDOW_FUNNEL)]);
}

//! `segment_pruning`: a question about one customer in a hundred, beside the same about everybody.

use crate::shop::ask;
use criterion::Criterion;

const FEW: &str = "SELECT count(*), sum(amount) FROM events WHERE in_segment(customer_id, 'few')";
const EVERYBODY: &str = "SELECT count(*), sum(amount) FROM events";

pub(crate) fn bench(criterion: &mut Criterion) {
    let questions = [("one_in_a_hundred", FEW), ("everybody", EVERYBODY)];
    ask(criterion, "segment_pruning", &questions);
}

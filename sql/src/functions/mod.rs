//! Functions that look something up in the snapshot of the query.

mod call;
mod customer_of;
mod identifier_count;
mod identifiers_of;

pub(crate) use call::marked_with_call;
pub(crate) use customer_of::CUSTOMER_OF;

use crate::events::{EVENTS_AT, EventsAt};
use crate::session::Pinned;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Registers the functions over one snapshot.
pub(crate) fn register(context: &SessionContext, pinned: &Arc<Pinned>) {
    context.register_udf(ScalarUDF::from(customer_of::CustomerOf::new(pinned.clone())));
    context.register_udf(ScalarUDF::from(identifier_count::IdentifierCount::new(pinned.clone())));
    context.register_udtf("identifiers_of", Arc::new(identifiers_of::IdentifiersOf::new(pinned)));
    context.register_udtf(EVENTS_AT, Arc::new(EventsAt::new(pinned)));
}

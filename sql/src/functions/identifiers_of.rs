//! `identifiers_of(customer_id)`: the identifiers of one customer, a row each.
//!
//! ```sql
//! SELECT namespace, value FROM identifiers_of(42);
//! ```

use crate::error::Error;
use crate::segments::number_literal;
use crate::session::Pinned;
use crate::tables::{IdentifierRows, SnapshotTable};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::Result;
use std::sync::Arc;

/// The table function over the identities of one snapshot.
#[derive(Debug)]
pub(crate) struct IdentifiersOf {
    pinned: Arc<Pinned>,
}

impl IdentifiersOf {
    pub(crate) fn new(pinned: &Arc<Pinned>) -> Self {
        Self { pinned: pinned.clone() }
    }
}

impl TableFunctionImpl for IdentifiersOf {
    fn call_with_args(&self, call: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let refused = || {
            let reason = "one customer_id as a number is wanted, like identifiers_of(42)";
            Error::invalid("argument of identifiers_of", reason)
        };
        let [customer] = call.exprs() else {
            return Err(refused().into());
        };
        let customer = number_literal(customer).ok_or_else(refused)?;
        let rows = Arc::new(IdentifierRows::of_customer(customer));
        Ok(Arc::new(SnapshotTable::new(self.pinned.clone(), rows)))
    }
}

//! The tables of a session, for relations that are named in arguments.

use datafusion::catalog::TableProvider;
use datafusion::common::{Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use std::fmt;
use std::sync::Arc;

type Find = dyn Fn(TableReference) -> Option<Arc<dyn TableProvider>> + Send + Sync;

/// Finds tables of one session. It does not keep the session alive: the session keeps it.
pub(super) struct Tables {
    find: Box<Find>,
}

impl Tables {
    pub(super) fn of(context: &SessionContext) -> Self {
        let state = context.state_weak_ref();
        let find = move |reference: TableReference| {
            let state = state.upgrade()?;
            let schema = state.read().schema_for_ref(reference.clone()).ok()?;
            // Planning cannot wait. The schemas of a session answer at once; one that asks a
            // network for its tables must be named in a subquery, which is read beforehand.
            schema.table(reference.table()).now_or_never()?.ok()?
        };
        Self { find: Box::new(find) }
    }

    /// The scan of a table; None when the session has no such table.
    pub(super) fn scan(&self, reference: TableReference) -> Option<Result<LogicalPlan>> {
        let source = provider_as_source((self.find)(reference.clone())?);
        let scan = LogicalPlanBuilder::scan(reference, source, None);
        Some(scan.and_then(LogicalPlanBuilder::build))
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tables")
    }
}

//! `events_at(version)` and `events_at(timestamp)`: the events of an earlier version.
//!
//! ```sql
//! SELECT count(*) FROM events_at(12);
//! SELECT count(*) FROM events_at(TIMESTAMP '2026-01-31 12:00:00');
//! ```

use crate::error::Error;
use crate::events::EventsTable;
use crate::events::schema::events_schema;
use crate::functions::marked_with_call;
use crate::segments::{number_literal, text_literal};
use crate::session::{AsOf, Pinned, parse_time};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// The name of the table function.
pub(crate) const EVENTS_AT: &str = "events_at";

/// The table function; other versions are found through the store of this snapshot.
#[derive(Debug)]
pub(crate) struct EventsAt {
    pinned: Arc<Pinned>,
}

impl EventsAt {
    pub(crate) fn new(pinned: &Arc<Pinned>) -> Self {
        Self { pinned: pinned.clone() }
    }
}

impl TableFunctionImpl for EventsAt {
    fn call_with_args(&self, call: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let refused = || {
            let reason = "a version number or a time is wanted, like events_at(12) or \
                          events_at(TIMESTAMP '2026-01-31 12:00:00')";
            Error::invalid("argument of events_at", reason)
        };
        let [argument] = call.exprs() else {
            return Err(refused().into());
        };
        let version = number_literal(argument).map(AsOf::Version);
        let as_of = version.or_else(|| time_literal(argument).map(AsOf::Timestamp));
        let as_of = as_of.ok_or_else(refused)?;
        let schema = events_schema(self.pinned.catalog());
        let schema = marked_with_call(&schema, format!("{EVENTS_AT}({as_of:?})"));
        Ok(Arc::new(EarlierEvents { pinned: self.pinned.clone(), as_of, schema }))
    }
}

/// A time literal, or a text that is one.
fn time_literal(expression: &Expr) -> Option<DateTime<Utc>> {
    if let Some(text) = text_literal(expression) {
        return parse_time(text);
    }
    let Expr::Literal(value, _) = expression else {
        return None;
    };
    match value {
        ScalarValue::TimestampSecond(Some(time), _) => DateTime::from_timestamp(*time, 0),
        ScalarValue::TimestampMillisecond(Some(time), _) => DateTime::from_timestamp_millis(*time),
        ScalarValue::TimestampMicrosecond(Some(time), _) => DateTime::from_timestamp_micros(*time),
        ScalarValue::TimestampNanosecond(Some(time), _) => {
            Some(DateTime::from_timestamp_nanos(*time))
        }
        _ => None,
    }
}

/// `events` as of another version. Its columns are those of the query's snapshot, so that both can
/// be compared; a namespace that is younger than the version is NULL.
#[derive(Debug)]
struct EarlierEvents {
    pinned: Arc<Pinned>,
    as_of: AsOf,
    schema: SchemaRef,
}

impl EarlierEvents {
    async fn pinned_then(&self) -> crate::Result<Pinned> {
        let store = self.pinned.store();
        let snapshot = match self.as_of {
            AsOf::Newest => store.snapshot().await?,
            AsOf::Version(version) => store.snapshot_at(version).await?,
            AsOf::Timestamp(time) => store.snapshot_as_of(time).await?,
        };
        Pinned::new(store.clone(), self.pinned.hot().clone(), snapshot).await
    }
}

#[async_trait]
impl TableProvider for EarlierEvents {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let then = Arc::new(self.pinned_then().await?);
        // The files of that version, under the columns of this one.
        EventsTable::with_catalog(then, self.pinned.catalog())
            .with_schema(self.schema.clone())
            .scan(state, projection, filters, limit)
            .await
    }
}

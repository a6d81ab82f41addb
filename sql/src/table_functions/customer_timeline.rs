//! `customer_timeline(customer, …)`: what one customer did, with the session of each event.
//!
//! ```sql
//! SELECT session, ts, event FROM customer_timeline(customer_of('email', 'ada@example.com'))
//! ORDER BY ts DESC;
//! ```

use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::{column, with_windows};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, WindowFrame, WindowFunctionDefinition, lit,
};

pub(super) const SIGNATURE: Signature = Signature {
    name: "customer_timeline",
    positional: Positional::Parameters,
    parameters: &[
        Parameter::new("customer", "a customer_id", "customer_of('user_id', 'ada')"),
        Parameter::new("since", "a timestamp or a date", "since => DATE '2024-12-31'"),
        Parameter::new("gap", "an interval without months, or seconds", "INTERVAL '30' MINUTE"),
        Parameter::new("ts", "a timestamp or a date", "ts => ordered_at"),
    ],
    example: "customer_timeline(customer_of('user_id', 'ada'))",
};

const GAP_MINUTES: i64 = 30;

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let Some(customer) = call.rowless("customer")? else {
        return call.wrong("customer", "nothing");
    };
    let ts = call.time_column("ts", "ts")?;
    let own = call.relation_column("customer_id")?;
    let half_hour = ScalarValue::new_interval_mdn(0, 0, GAP_MINUTES * 60_000_000_000);
    let gap = call.literal("gap")?.unwrap_or(half_hour);
    let since = call.constant("since")?;
    // Sessions are numbered over all events, so that `since` changes no number.
    let events = LogicalPlanBuilder::from(call.relation()).filter(own.eq(customer))?.build()?;
    let session = Expr::from(WindowFunction {
        fun: WindowFunctionDefinition::WindowUDF(call.window_function("sessionize")?),
        params: WindowFunctionParams {
            args: vec![ts.clone(), lit(gap)],
            partition_by: Vec::new(),
            order_by: vec![ts.clone().sort(true, false)],
            window_frame: WindowFrame::new(Some(true)),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    });
    let columns = events.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
    let numbered = with_windows(events, vec![("session", session)])?;
    let numbered = match since {
        Some(since) => numbered.filter(ts.gt_eq(since))?,
        None => numbered,
    };
    let shown = std::iter::once(column("session")).chain(columns);
    numbered.project(shown)?.build()
}

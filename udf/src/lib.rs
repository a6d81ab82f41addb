//! What can be computed from customer events, as functions for any DataFusion program.
//!
//! ```
//! use datafusion::prelude::SessionContext;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let context = SessionContext::new();
//! habitue_udf::register_all(&context)?;
//! let depth = context
//!     .sql("SELECT window_funnel(10, ts, e = 'view', e = 'buy') FROM (VALUES (1, 'view'), (5, 'buy')) t(ts, e)")
//!     .await?;
//! # assert_eq!(depth.count().await?, 1);
//! # datafusion::common::Result::<()>::Ok(())
//! # }).unwrap();
//! ```
//!
//! Each SQL word has a module of its own name: its meaning with an example, the pure computation,
//! and the adapter for DataFusion.

mod arguments;
pub mod calendar;
pub mod conditional_true_event;
mod conditions;
pub mod funnel_steps;
mod grouped_events;
pub mod retention;
pub mod sessionize;
mod time_scale;
pub mod window_funnel;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

/// The aggregate functions of this crate.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::from(
            window_funnel::WindowFunnelFunction::default(),
        )),
        Arc::new(AggregateUDF::from(retention::RetentionFunction::default())),
        Arc::new(AggregateUDF::from(
            funnel_steps::FunnelStepsFunction::default(),
        )),
    ]
}

/// The window functions of this crate.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    vec![
        Arc::new(WindowUDF::from(sessionize::SessionizeFunction::default())),
        Arc::new(WindowUDF::from(
            conditional_true_event::ConditionalTrueEventFunction::default(),
        )),
    ]
}

/// The scalar functions of this crate.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        calendar::calendar_period_udf(),
        calendar::calendar_start_udf(),
        calendar::calendar_date_udf(),
    ]
}

/// Makes all functions of this crate known to a registry, such as a session's state.
pub fn register_into(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in aggregate_functions() {
        registry.register_udaf(function)?;
    }
    for function in window_functions() {
        registry.register_udwf(function)?;
    }
    for function in scalar_functions() {
        registry.register_udf(function)?;
    }
    Ok(())
}

/// Makes all functions of this crate known to a session.
pub fn register_all(context: &SessionContext) -> Result<()> {
    register_into(&mut *context.state_ref().write())
}

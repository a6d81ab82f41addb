//! What can be computed from customer events, as functions for any DataFusion program.
//!
//! ```
//! use datafusion::prelude::SessionContext;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let context = SessionContext::new();
//! habitue_udf::register_all(&context)?;
//! let events = "(VALUES (1, 'view'), (5, 'buy')) AS events(ts, event)";
//! let funnel = "window_funnel(10, ts, event = 'view', event = 'buy')";
//! let depth = context.sql(&format!("SELECT {funnel} FROM {events}")).await?;
//! # assert_eq!(depth.count().await?, 1);
//! # datafusion::common::Result::<()>::Ok(())
//! # }).unwrap();
//! ```
//!
//! Each SQL word has a module of its own name: its meaning with an example, the pure computation,
//! and the adapter for DataFusion.

mod arguments;
pub mod attribution;
pub mod bitmap;
pub mod calendar;
pub mod conditional_true_event;
mod conditions;
pub mod event_paths;
pub mod funnel_steps;
mod grouped_events;
pub mod lookalike;
mod names;
pub mod ntile;
pub mod retention;
pub mod rfm_score;
pub mod rfm_segment;
pub mod sessionize;
mod time_scale;
pub mod window_funnel;

pub use conditions::true_rows;
pub use names::Names;
pub use time_scale::length_in_steps;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::planner::RelationPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

/// The aggregate functions of this crate.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = vec![
        Arc::new(AggregateUDF::from(window_funnel::WindowFunnelFunction::default())),
        Arc::new(AggregateUDF::from(retention::RetentionFunction::default())),
        Arc::new(AggregateUDF::from(funnel_steps::FunnelStepsFunction::default())),
    ];
    functions.extend(bitmap::aggregate_functions());
    functions
}

/// The window functions of this crate.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    use conditional_true_event::ConditionalTrueEventFunction;
    vec![
        Arc::new(WindowUDF::from(sessionize::SessionizeFunction::default())),
        Arc::new(WindowUDF::from(ConditionalTrueEventFunction::default())),
        Arc::new(WindowUDF::from(rfm_score::RfmScoreFunction::default())),
    ]
}

/// The scalar functions of this crate.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let rfm_segment = ScalarUDF::from(rfm_segment::RfmSegmentFunction::default());
    let mut functions = vec![
        calendar::calendar_period_udf(),
        calendar::calendar_start_udf(),
        calendar::calendar_date_udf(),
        Arc::new(rfm_segment),
    ];
    functions.extend(bitmap::scalar_functions());
    functions
}

/// What this crate understands in FROM beside tables.
pub fn relation_planners() -> Vec<Arc<dyn RelationPlanner>> {
    vec![Arc::new(bitmap::UnnestBitmap)]
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
    register_into(&mut *context.state_ref().write())?;
    for planner in relation_planners() {
        context.register_relation_planner(planner)?;
    }
    Ok(())
}

//! The time of a refresh: what `now()` is in all its definitions, and which events the clock has
//! moved past since the refresh before.

use crate::error::{Error, Result};
use crate::segments::refresh::locality::ClockComparison;
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// The time of one refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    now: DateTime<Utc>,
}

impl Clock {
    /// Stopped at this time; what is finer than a microsecond is dropped, as the log keeps it.
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        let now = DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now);
        Self { now }
    }

    /// µs since the epoch.
    pub(crate) fn now_us(self) -> i64 {
        self.now.timestamp_micros()
    }

    pub(crate) fn now(self) -> DateTime<Utc> {
        self.now
    }

    /// The clock as it stood at an earlier refresh.
    pub(super) fn at_us(now_us: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(now_us).map(|now| Self { now })
    }

    /// The value of an expression without columns at this time.
    fn value(self, expression: &Expr, state: &SessionState) -> Result<ScalarValue> {
        let context = SimplifyContext::builder()
            .with_query_execution_start_time(Some(self.now))
            .with_config_options(state.config_options().clone())
            .build();
        match ExprSimplifier::new(context).simplify(expression.clone())? {
            Expr::Literal(value, _) => Ok(value),
            other => Err(Error::from(DataFusionError::Internal(format!(
                "'{other}' has no value without events"
            )))),
        }
    }
}

/// Whether the clock means the same in every session: dates and times of day follow the session's
/// time zone.
pub(super) fn is_universal(state: &SessionState) -> bool {
    match &state.config_options().execution.time_zone {
        None => true,
        Some(zone) => ["+00:00", "UTC", "Z"].contains(&zone.as_str()),
    }
}

/// True for the events that any of the comparisons may judge otherwise at the two times: what is
/// compared lies between what it was compared with then and what it is compared with now, both ends
/// included. `None` when there can be no such event.
pub(super) fn crossed(
    comparisons: &[ClockComparison],
    before: Clock,
    now: Clock,
    state: &SessionState,
) -> Result<Option<Expr>> {
    let mut crossed = None;
    for ClockComparison { subject, boundary } in comparisons {
        let (then, today) = (before.value(boundary, state)?, now.value(boundary, state)?);
        if then == today {
            continue;
        }
        // A writer's clock may have gone back.
        let (low, high) = match then <= today {
            true => (then, today),
            false => (today, then),
        };
        let between = subject.clone().between(lit(low), lit(high));
        crossed = Some(match crossed {
            None => between,
            Some(others) => Expr::or(others, between),
        });
    }
    Ok(crossed)
}

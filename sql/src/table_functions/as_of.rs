//! `as_of`: the moment that a table function looks from.
//!
//! A timestamp counts everything up to and at that instant. A date counts that whole day, in the
//! time zone of the function, so that a purchase on the day of `as_of` counts and is 0 days old.

use super::call::Call;
use super::plan::period_number;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use habitue_udf::calendar::{CalendarUnit, calendar_start_udf};

/// The name of the argument.
pub(super) const AS_OF: &str = "as_of";

/// The end of what counts.
pub(super) struct AsOf {
    /// The instant, or the first instant of the day after.
    bound: Expr,
    end: End,
    zone: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The bound itself counts.
    Included,
    /// The bound is the first instant that does not count.
    Excluded,
}

impl AsOf {
    /// Reads the argument `as_of`; the start of the query when it is not given.
    pub(super) fn read(call: &mut Call<'_>, zone: &str) -> Result<Self> {
        let zone = zone.to_owned();
        let Some(given) = call.constant(AS_OF)? else {
            return Ok(Self { bound: call.now()?, end: End::Included, zone });
        };
        let given = match given {
            Expr::Literal(value, _) if value.data_type().is_string() => parsed(call, &value)?,
            other => other,
        };
        match given.get_type(&DFSchema::empty())? {
            DataType::Timestamp(..) => Ok(Self { bound: given, end: End::Included, zone }),
            DataType::Date32 => {
                let tomorrow = period_number(CalendarUnit::Day, given, &zone) + lit(1i64);
                let bound = calendar_start_udf().call(vec![lit("day"), tomorrow, lit(&*zone)]);
                Ok(Self { bound, end: End::Excluded, zone })
            }
            other => call.wrong(AS_OF, format!("{given} of type {other}")),
        }
    }

    /// The condition that a time counts. `time_type` is the type of `ts`: the bound is brought to
    /// it, so that the condition stays a comparison with a constant, which prunes.
    pub(super) fn covers(&self, ts: &Expr, time_type: &DataType) -> Expr {
        let ts = ts.clone();
        match (self.end, time_type) {
            // The last day that counts is the day of the last instant that counts.
            (_, DataType::Date32) => day_of_date(ts).lt_eq(self.day()),
            (End::Included, _) => ts.lt_eq(cast(self.bound.clone(), time_type.clone())),
            (End::Excluded, _) => ts.lt(cast(self.bound.clone(), time_type.clone())),
        }
    }

    /// The condition that a time lies within this interval before the end.
    pub(super) fn is_within(&self, ts: &Expr, time_type: &DataType, interval: Expr) -> Expr {
        let ts = ts.clone();
        let begin = self.bound.clone() - interval;
        match (self.end, time_type) {
            (End::Included, DataType::Date32) => {
                day_of_date(ts).gt(period_number(CalendarUnit::Day, begin, &self.zone))
            }
            (End::Excluded, DataType::Date32) => {
                day_of_date(ts).gt_eq(period_number(CalendarUnit::Day, begin, &self.zone))
            }
            (End::Included, _) => ts.gt(cast(begin, time_type.clone())),
            (End::Excluded, _) => ts.gt_eq(cast(begin, time_type.clone())),
        }
    }

    /// The number of the first period that is not over yet.
    pub(super) fn open_period(&self, unit: CalendarUnit) -> Expr {
        period_number(unit, self.bound.clone(), &self.zone)
    }

    /// The number of the last day that counts.
    pub(super) fn day(&self) -> Expr {
        let open = self.open_period(CalendarUnit::Day);
        match self.end {
            End::Included => open,
            End::Excluded => open - lit(1i64),
        }
    }
}

fn day_of_date(date: Expr) -> Expr {
    period_number(CalendarUnit::Day, date, "UTC")
}

/// Text that is a date means the day, any other the instant.
fn parsed(call: &Call<'_>, text: &ScalarValue) -> Result<Expr> {
    let is_date = text.try_as_str().flatten().is_some_and(|text| text.trim().len() <= 10);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let wanted = if is_date { DataType::Date32 } else { instant };
    match text.cast_to(&wanted) {
        Ok(value) if !value.is_null() => Ok(Expr::Literal(value, None)),
        _ => call.wrong(AS_OF, format!("'{text}'")),
    }
}

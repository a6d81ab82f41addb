//! `rfm([relation,] as_of => …)`: recency, frequency and money of every customer, with scores.
//!
//! ```sql
//! SELECT * FROM rfm(as_of => DATE '2024-12-31', window => INTERVAL '1' YEAR);
//! -- customer_id  recency_days  frequency  monetary  monetary_year  …  r  f  m  segment
//! --           7             3         12      41.5          498.0  …  5  5  4  Champions
//! ```
//!
//! Purchases make a customer's recency and frequency. Refunds, the negative amounts, are no
//! purchases; they only lower the sums. A customer without a purchase has no row.

use super::as_of::{AS_OF, AsOf};
use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::{case, column, money, no_money, only_where, period_number, ratio, with_windows};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, ScalarUDF, WindowUDF, cast, lit,
};
use habitue_udf::calendar::CalendarUnit;
use std::sync::Arc;

pub(super) const SIGNATURE: Signature = Signature {
    name: "rfm",
    positional: Positional::Relation,
    parameters: &[
        Parameter::new(AS_OF, "a timestamp or a date", "as_of => DATE '2024-12-31'"),
        Parameter::new("window", "an interval longer than nothing", "window => INTERVAL '1' YEAR"),
        Parameter::new("customer", "whose purchases they are", "customer => user_id"),
        Parameter::new("ts", "a timestamp or a date", "ts => ordered_at"),
        Parameter::new("amount", "a number", "amount => price * quantity"),
        Parameter::new("purchase", "a condition", "purchase => event = 'order'"),
        Parameter::new("refund", "a condition", "refund => event = 'refund'"),
        Parameter::new("method", "'quantile' or 'ntile'", "method => 'ntile'"),
        Parameter::new("score_money", "'mean', 'total' or 'year'", "score_money => 'total'"),
        Parameter::new("tz", "a time zone", "tz => 'Europe/Athens'"),
    ],
    example: "rfm(events, as_of => DATE '2024-12-31', window => INTERVAL '1' YEAR)",
};

const METHODS: [(&str, &str); 2] = [("quantile", "quantile"), ("ntile", "ntile")];
/// Which column the score m is made from.
const MONEY: [(&str, &str); 3] =
    [("mean", "monetary"), ("total", "monetary_total"), ("year", "monetary_year")];
const DAYS_PER_YEAR: f64 = 365.25;
const NANOSECONDS_PER_DAY: f64 = 86_400e9;

/// The arguments, read.
struct Rfm {
    as_of: AsOf,
    zone: String,
    /// The interval before `as_of`, and its length in years.
    window: Option<(ScalarValue, f64)>,
    method: &'static str,
    money_scored: &'static str,
    rfm_score: Arc<WindowUDF>,
    rfm_segment: Arc<ScalarUDF>,
}

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let rfm = Rfm::read(call)?;
    let rows = rfm.rows(call)?;
    rfm.scored(rfm.summary(rows)?)
}

impl Rfm {
    fn read(call: &mut Call<'_>) -> Result<Self> {
        let zone = call.time_zone("tz")?;
        Ok(Self {
            as_of: AsOf::read(call, &zone)?,
            zone,
            window: read_window(call)?,
            method: call.choice("method", &METHODS)?.unwrap_or("quantile"),
            money_scored: call.choice("score_money", &MONEY)?.unwrap_or("monetary"),
            rfm_score: call.window_function("rfm_score")?,
            rfm_segment: call.scalar_function("rfm_segment")?,
        })
    }

    /// The purchases and refunds that count, under names of our own.
    fn rows(&self, call: &mut Call<'_>) -> Result<LogicalPlanBuilder> {
        let customer = call.column("customer", "customer_id")?;
        let ts = call.time_column("ts", "ts")?;
        let time_type = call.type_of(&ts)?;
        let amount = money(call, "amount")?;
        let is_negative = amount.clone().lt(no_money());
        let refund = call.condition("refund")?;
        // Who says what a purchase is means its refunds too; who does not gets all refunds.
        let (purchase, matters) = match (call.condition("purchase")?, &refund) {
            (Some(purchase), Some(refund)) => (purchase.clone(), purchase.or(refund.clone())),
            (Some(purchase), None) => (purchase.clone(), purchase),
            (None, _) if !call.has_column("event") => (lit(true), lit(true)),
            (None, refund) => {
                let purchase = call.column("event", "event")?.eq(lit("purchase"));
                let refund = refund.clone().unwrap_or_else(|| is_negative.clone());
                (purchase.clone(), purchase.or(refund))
            }
        };
        let is_refund = coalesce(vec![refund.unwrap_or(is_negative), lit(false)]);
        let mut counts = customer.clone().is_not_null().and(ts.clone().is_not_null());
        counts = counts.and(self.as_of.covers(&ts, &time_type));
        if let Some((window, _)) = &self.window {
            counts = counts.and(self.as_of.is_within(&ts, &time_type, lit(window.clone())));
        }
        LogicalPlanBuilder::from(call.relation()).filter(counts.and(matters))?.project(vec![
            customer.alias("customer_id"),
            ts.alias("ts"),
            amount.alias("amount"),
            purchase.and(!is_refund).alias("is_purchase"),
        ])
    }

    /// One row per customer: the raw values.
    fn summary(&self, rows: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let of_purchases = |aggregate| only_where(aggregate, column("is_purchase"));
        let day = |ts| period_number(CalendarUnit::Day, ts, &self.zone);
        // Purchases without an amount are worth nothing, not unknown.
        let total = || coalesce(vec![column("total"), no_money()]);
        let years = match &self.window {
            Some((_, years)) => lit(*years),
            None => {
                let days = self.as_of.day() - day(column("first_purchase"));
                let years = cast(days, DataType::Float64) / lit(DAYS_PER_YEAR);
                case(years.clone().lt(lit(1.0)), lit(1.0), years)
            }
        };
        rows.aggregate(
            vec![column("customer_id")],
            vec![
                of_purchases(count(lit(1i64)))?.alias("frequency"),
                of_purchases(max(column("ts")))?.alias("last_purchase"),
                of_purchases(min(column("ts")))?.alias("first_purchase"),
                sum(column("amount")).alias("total"),
            ],
        )?
        .filter(column("frequency").gt(lit(0i64)))?
        .project(vec![
            column("customer_id"),
            (self.as_of.day() - day(column("last_purchase"))).alias("recency_days"),
            column("frequency"),
            ratio(total(), column("frequency")).alias("monetary"),
            ratio(total(), years).alias("monetary_year"),
            total().alias("monetary_total"),
            column("last_purchase"),
        ])
    }

    fn scored(&self, summary: LogicalPlanBuilder) -> Result<LogicalPlan> {
        let scores = vec![
            ("r", self.score("recency_days", "desc")?),
            ("f", self.score("frequency", "asc")?),
            ("m", self.score(self.money_scored, "asc")?),
        ];
        let scored = with_windows(summary.build()?, scores)?;
        let segment = self.rfm_segment.call(["r", "f", "m"].map(column).to_vec());
        let mut columns: Vec<Expr> = [
            "customer_id",
            "recency_days",
            "frequency",
            "monetary",
            "monetary_year",
            "monetary_total",
            "last_purchase",
            "r",
            "f",
            "m",
        ]
        .map(column)
        .to_vec();
        columns.push(segment.alias("segment"));
        scored.project(columns)?.build()
    }

    fn score(&self, value: &str, direction: &str) -> Result<Expr> {
        let arguments = vec![column(value), lit(direction), lit(self.method)];
        let score = self.rfm_score.call(arguments);
        if self.method != "ntile" {
            return Ok(score);
        }
        // Parts of equal size must part equal values somewhere: by the customer's number.
        score.order_by(vec![column("customer_id").sort(true, false)]).build()
    }
}

fn read_window(call: &mut Call<'_>) -> Result<Option<(ScalarValue, f64)>> {
    let Some(window) = call.literal("window")? else {
        return Ok(None);
    };
    let years = match &window {
        ScalarValue::IntervalMonthDayNano(Some(interval)) => {
            let days = f64::from(interval.days) + interval.nanoseconds as f64 / NANOSECONDS_PER_DAY;
            f64::from(interval.months) / 12.0 + days / DAYS_PER_YEAR
        }
        ScalarValue::IntervalYearMonth(Some(months)) => f64::from(*months) / 12.0,
        ScalarValue::IntervalDayTime(Some(interval)) => {
            let days = f64::from(interval.days) + f64::from(interval.milliseconds) / 86_400e3;
            days / DAYS_PER_YEAR
        }
        _ => return call.wrong("window", window),
    };
    if years <= 0.0 {
        return call.wrong("window", window);
    }
    Ok(Some((window, years)))
}

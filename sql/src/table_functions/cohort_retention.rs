//! `cohort_retention([relation,] unit => 'month', …)`: who came back, by when they first came.
//!
//! ```sql
//! SELECT * FROM cohort_retention(unit => 'month', return => event = 'purchase');
//! -- cohort      period  customers  retained  rate
//! -- 2024-01-01       0        948       948  1.0
//! -- 2024-01-01       1        948       362  0.3818…
//! ```
//!
//! The plan, in these steps:
//! 1. The events that begin or return, reduced to one row per customer and calendar period.
//! 2. A window per customer finds the begin: the cohort is its period, the distance the period.
//! 3. Periods are placed as `kind` wants: as they are, in all earlier ones, or in brackets.
//! 4. Rows are counted per cohort and period: the cells.
//! 5. Cells without anybody are filled with 0, and those that are not over yet emptied to NULL.

use super::as_of::{AS_OF, AsOf};
use super::call::Call;
use super::parameter::{Parameter, Positional, Signature};
use super::plan::{
    case, column, members, money, no_money, nobody, numbers_between, only_where, over_all,
    period_date, period_number, ratio, with_windows,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::bool_and_or::bool_or;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::lead_lag::lead;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, lit,
};
use habitue_udf::calendar::CalendarUnit;
use std::sync::Arc;

pub(super) const SIGNATURE: Signature = Signature {
    name: "cohort_retention",
    positional: Positional::Relation,
    parameters: &[
        Parameter::new("unit", "'day', 'week' or 'month'", "unit => 'month'"),
        Parameter::new("kind", "'bounded', 'unbounded' or 'bracket'", "kind => 'bounded'"),
        Parameter::new("brackets", "at least two rising periods", "brackets => [0, 1, 7, 30]"),
        Parameter::new("periods", "how many periods after the first", "periods => 12"),
        Parameter::new("tz", "a time zone", "tz => 'Europe/Athens'"),
        Parameter::new("measure", "'customers' or 'amount'", "measure => 'amount'"),
        Parameter::new("start", "a condition", "start => event = 'signup'"),
        Parameter::new("return", "a condition", "return => event = 'purchase'"),
        Parameter::new(AS_OF, "a timestamp or a date", "as_of => DATE '2024-12-31'"),
        Parameter::new("customer", "whose events they are", "customer => user_id"),
        Parameter::new("ts", "a timestamp or a date", "ts => ordered_at"),
        Parameter::new("amount", "a number", "amount => price * quantity"),
        Parameter::new("members", "true or false", "members => true"),
    ],
    example: "cohort_retention(events, unit => 'week', return => event = 'purchase')",
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Bounded,
    Unbounded,
    /// The first periods of the brackets, and where the last one ends.
    Bracket(Vec<i64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Customers,
    Amount,
}

/// The arguments, read.
struct Retention {
    unit: CalendarUnit,
    kind: Kind,
    measure: Measure,
    /// The aggregate of who, when it is asked for.
    members: Option<Arc<AggregateUDF>>,
    periods: Option<i64>,
    zone: String,
    as_of: AsOf,
}

pub(super) fn plan(call: &mut Call<'_>) -> Result<LogicalPlan> {
    let retention = Retention::read(call)?;
    let events = retention.events(call)?;
    let needs_exact_times = call.is_given("start") && retention.measure == Measure::Amount;
    let visits = retention.visits(events, needs_exact_times)?;
    let placed = retention.placed(visits)?;
    let cells = retention.cells(placed)?;
    retention.report(retention.filled(cells)?)
}

impl Retention {
    fn read(call: &mut Call<'_>) -> Result<Self> {
        let unit = call.choice("unit", &CalendarUnit::NAMES)?.unwrap_or(CalendarUnit::Month);
        let zone = call.time_zone("tz")?;
        let measures = [("customers", Measure::Customers), ("amount", Measure::Amount)];
        let as_of = AsOf::read(call, &zone)?;
        Ok(Self {
            unit,
            kind: read_kind(call)?,
            measure: call.choice("measure", &measures)?.unwrap_or(Measure::Customers),
            members: call.members()?,
            periods: call.count("periods")?,
            zone,
            as_of,
        })
    }

    /// Step 1, first half: what counts, under names of our own.
    fn events(&self, call: &mut Call<'_>) -> Result<LogicalPlanBuilder> {
        let customer = call.column("customer", "customer_id")?;
        let ts = call.time_column("ts", "ts")?;
        let starts = call.condition("start")?.unwrap_or_else(|| lit(true));
        let returns = call.condition("return")?.unwrap_or_else(|| lit(true));
        let amount = match self.measure {
            Measure::Customers => lit(0i64),
            Measure::Amount => money(call, "amount")?,
        };
        let counts = self.as_of.covers(&ts, &call.type_of(&ts)?);
        let is_known = customer.clone().is_not_null().and(ts.clone().is_not_null());
        LogicalPlanBuilder::from(call.relation())
            .filter(is_known.and(counts).and(starts.clone().or(returns.clone())))?
            .project(vec![
                customer.alias("customer"),
                period_number(self.unit, ts.clone(), &self.zone).alias("number"),
                ts.alias("ts"),
                starts.alias("starts"),
                returns.alias("returns"),
                amount.alias("amount"),
            ])
    }

    /// Steps 1 and 2: one row per customer and period since the begin, with columns customer,
    /// cohort, period, returned, begun (it is the customer's first period) and amount.
    ///
    /// Returns before the begin, in the same period, do not count. For customers the last return
    /// of the period tells; sums need the events one by one.
    fn visits(
        &self,
        events: LogicalPlanBuilder,
        needs_exact_times: bool,
    ) -> Result<LogicalPlanBuilder> {
        let mut keys = vec![column("customer"), column("number")];
        if needs_exact_times {
            keys.push(column("ts"));
        }
        let begin = over_all(min_udaf(), column("first_start"), None, vec![column("customer")]);
        let first_period = period_number(self.unit, column("begin"), &self.zone);
        let returned = column("last_return").gt_eq(column("begin"));
        let periods = events.aggregate(
            keys,
            vec![
                only_where(min(column("ts")), column("starts"))?.alias("first_start"),
                only_where(max(column("ts")), column("returns"))?.alias("last_return"),
                only_where(sum(column("amount")), column("returns"))?.alias("amount"),
            ],
        )?;
        with_windows(periods.build()?, vec![("begin", begin)])?
            .project(vec![
                column("customer"),
                first_period.alias("cohort"),
                column("number"),
                coalesce(vec![returned, lit(false)]).alias("returned"),
                column("amount"),
            ])?
            .filter(column("number").gt_eq(column("cohort")))?
            .project(vec![
                column("customer"),
                column("cohort"),
                (column("number") - column("cohort")).alias("period"),
                column("returned"),
                column("number").eq(column("cohort")).alias("begun"),
                column("amount"),
            ])?
            .filter(column("returned").or(column("begun")))
    }
}

impl Retention {
    /// Step 3: the periods that a return counts for; afterwards one row per customer and period.
    fn placed(&self, visits: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let in_range = match (&self.kind, self.periods) {
            (Kind::Bounded, Some(last)) => visits.filter(column("period").lt_eq(lit(last)))?,
            _ => visits,
        };
        let (period, begun) = match &self.kind {
            Kind::Bounded => (column("period"), column("begun")),
            Kind::Unbounded => {
                let reached = case(column("returned"), column("period"), lit(0i64));
                let reached = match self.periods {
                    Some(last) => case(reached.clone().gt(lit(last)), lit(last), reached),
                    None => reached,
                };
                (numbers_between(lit(0i64), reached + lit(1i64)), column("begun"))
            }
            Kind::Bracket(edges) => (bracket_of(&column("period"), edges), column("begun")),
        };
        let columns = ["customer", "cohort", "returned", "amount"].map(column);
        let mut columns = columns.to_vec();
        columns.extend([period.alias("period"), begun.alias("begun")]);
        let mut placed = in_range.project(columns)?;
        if self.kind == Kind::Unbounded {
            placed = placed.unnest_column("period")?;
        }
        let keys = ["customer", "cohort", "period"].map(column);
        placed.aggregate(
            keys,
            vec![
                bool_or(column("returned")).alias("returned"),
                bool_or(column("begun")).alias("begun"),
                only_where(sum(column("amount")), column("returned"))?.alias("amount"),
            ],
        )
    }

    /// Step 4: one row per cohort and period in which anybody was there.
    fn cells(&self, placed: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let retained = match self.measure {
            Measure::Customers => only_where(count(lit(1i64)), column("returned"))?,
            Measure::Amount => only_where(sum(column("amount")), column("returned"))?,
        };
        let mut counts = vec![
            only_where(count(lit(1i64)), column("begun"))?.alias("beginners"),
            retained.alias("retained"),
        ];
        if let Some(bitmap_agg) = &self.members {
            counts.push(members(bitmap_agg, column("customer"), Some(column("returned")))?);
        }
        placed.aggregate(["cohort", "period"].map(column), counts)
    }

    /// Step 5, first half: a row for every period of every cohort.
    ///
    /// Each cell stands for the periods from its own up to the next cell of the cohort; it has
    /// something to tell in its own only.
    fn filled(&self, cells: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
        let cohort = || vec![column("cohort")];
        let next = lead(column("period"), Some(1), None)
            .partition_by(cohort())
            .order_by(vec![column("period").sort(true, false)])
            .build()?;
        let size = over_all(sum_udaf(), column("beginners"), None, cohort());
        let is_first = column("period").eq(lit(0i64));
        let base = over_all(max_udaf(), column("retained"), Some(is_first), cohort());
        let last = over_all(max_udaf(), column("period"), None, vec![]);
        let windows = vec![("next", next), ("size", size), ("base", base), ("last", last)];
        let last = match (&self.kind, self.periods) {
            (Kind::Bracket(edges), _) => lit(edges.len() as i64 - 2),
            (_, Some(last)) => lit(last),
            (_, None) => column("last"),
        };
        let end = coalesce(vec![column("next"), last + lit(1i64)]);
        let mut columns: Vec<Expr> = ["cohort", "size", "base", "retained"].map(column).to_vec();
        columns.push(column("period").alias("told"));
        columns.push(numbers_between(column("period"), end).alias("period"));
        if self.members.is_some() {
            columns.push(column("members"));
        }
        with_windows(cells.build()?, windows)?
            .project(columns)?
            .unnest_column("period")?
            .filter(column("period").gt_eq(lit(0i64)))
    }

    /// Step 5, second half: zeros where nobody came, NULL where the period is not over.
    fn report(&self, filled: LogicalPlanBuilder) -> Result<LogicalPlan> {
        let (first, last) = match &self.kind {
            Kind::Bounded | Kind::Unbounded => (column("period"), column("period")),
            Kind::Bracket(edges) => {
                let ends: Vec<i64> = edges[1..].iter().map(|end| end - 1).collect();
                (nth(&column("period"), edges), nth(&column("period"), &ends))
            }
        };
        let is_over = (column("cohort") + last).lt(self.as_of.open_period(self.unit));
        let is_told = column("told").eq(column("period"));
        let (zero, whole) = match self.measure {
            Measure::Customers => (lit(0i64), column("size")),
            Measure::Amount => (no_money(), column("base")),
        };
        let retained =
            coalesce(vec![case(is_told.clone(), column("retained"), zero.clone()), zero]);
        let nothing = Expr::Literal(ScalarValue::Null, None);
        let told_when_over = |value| case(is_over.clone(), value, nothing.clone());
        let mut columns = vec![
            period_date(self.unit, column("cohort")).alias("cohort"),
            first.alias("period"),
            column("size").alias("customers"),
            told_when_over(retained.clone()).alias("retained"),
            told_when_over(ratio(retained, whole)).alias("rate"),
        ];
        if self.members.is_some() {
            let nobody = nobody()?;
            let members = case(is_told, column("members"), nobody.clone());
            columns.push(told_when_over(coalesce(vec![members, nobody])).alias("members"));
        }
        filled.project(columns)?.build()
    }
}

fn read_kind(call: &mut Call<'_>) -> Result<Kind> {
    let edges = call.numbers("brackets")?;
    let named = [("bounded", Kind::Bounded), ("unbounded", Kind::Unbounded)];
    let text = call.text("kind")?;
    let is_bracket =
        text.as_deref().map_or(edges.is_some(), |kind| kind.eq_ignore_ascii_case("bracket"));
    if !is_bracket {
        let wanted = text.as_deref().unwrap_or("bounded");
        let known = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        return match (known, edges) {
            (Some((_, kind)), None) => Ok(kind),
            (Some(_), Some(_)) => call.wrong("kind", format!("'{wanted}' together with brackets")),
            (None, _) => call.wrong("kind", format!("'{wanted}'")),
        };
    }
    match edges {
        Some(edges) if edges.len() >= 2 && edges[0] >= 0 && edges.is_sorted_by(|a, b| a < b) => {
            Ok(Kind::Bracket(edges))
        }
        Some(edges) => call.wrong("brackets", format!("{edges:?}")),
        None => call.wrong("brackets", "nothing, but kind => 'bracket' needs them"),
    }
}

/// The place of the bracket that a period lies in; −1 outside of all, so that the customer's begin
/// is not lost when no bracket holds period 0.
fn bracket_of(period: &Expr, edges: &[i64]) -> Expr {
    let outside = lit(-1i64);
    let beyond = edges.last().map_or_else(|| lit(false), |end| period.clone().gt_eq(lit(*end)));
    let places = edges[..edges.len() - 1].iter().enumerate();
    let inside = places.fold(outside.clone(), |before, (place, first)| {
        case(period.clone().gt_eq(lit(*first)), lit(place as i64), before)
    });
    case(beyond, outside, inside)
}

/// The value at this place.
fn nth(place: &Expr, values: &[i64]) -> Expr {
    let nothing = Expr::Literal(ScalarValue::Int64(None), None);
    values.iter().enumerate().fold(nothing, |before, (index, value)| {
        case(place.clone().eq(lit(index as i64)), lit(*value), before)
    })
}

//! Whether who is a member follows from each customer's own events alone.
//!
//! If it does, a refresh evaluates the definition only for customers of whom something changed. The
//! proof goes up the optimised plan: a relation is *local* when each of its rows belongs to one
//! customer, whose number stands in a column (or is NULL there), and follows from the events of that
//! customer, from whether they are in other segments, and from the clock. Scans of `events` and
//! `segment(…)` are local; filters and projections keep that; aggregates and windows keep it when
//! they group by the customer; joins when they compare customers for equality.
//!
//! The clock may only be compared with a time of the customer's events: then nothing changes with
//! the clock but for customers with an event between the compared values of then and now.

use crate::events::EventsTable;
use crate::segments::refresh::local_columns::{
    Local, aggregated, beside, is_column, kept, may_be_null, projected, windowed,
};
use crate::segments::{IN_SEGMENT, SegmentTable, segment_key};
use crate::session::SegmentKey;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator, TableScan, Union, Volatility, col,
};
use habitue_storage::event::{CUSTOMER_ID, TS};
use habitue_storage::log::computation::WholeReason;
use std::collections::BTreeSet;

/// What membership of a local definition depends on besides the customer's own events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Locality {
    pub(super) clocks: Vec<ClockComparison>,
    pub(super) segments: BTreeSet<SegmentKey>,
    /// It asks for more of a customer's identifiers than whose the events are.
    pub(super) asks_identities: bool,
}

/// A comparison of a time of an event with the clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClockComparison {
    /// What is compared, over the column `ts` of an event.
    pub(super) subject: Expr,
    /// What it is compared with: no columns, but `now()`.
    pub(super) boundary: Expr,
}

/// What a relation is.
enum Relation {
    /// The same rows whatever events there are.
    Constant,
    Local(Local),
}

/// Proves an optimised plan of one column, in which `now()` still stands, local.
///
/// # Errors
/// Why it is not, or cannot be shown to be.
pub(super) fn locality_of(plan: &LogicalPlan) -> Result<Locality, WholeReason> {
    let mut proof = Proof::default();
    match proof.relation(plan)? {
        Relation::Local(local) if local.customers.contains(&0) => Ok(proof.found),
        // A list of numbers stays what it is.
        Relation::Constant => Ok(proof.found),
        Relation::Local(_) => Err(WholeReason::AcrossCustomers),
    }
}

/// Refuses a plan, as it was written, that asks something about somebody whom it names, like
/// `in_segment(customer_of('user_id', 'u1'), 'vip')`: optimised, only today's answer is left of it.
///
/// # Errors
/// When it does.
pub(super) fn ensure_nobody_named(plan: &LogicalPlan) -> Result<(), WholeReason> {
    let names = |part: &Expr| {
        Ok(matches!(part, Expr::ScalarFunction(call)
            if call.func.signature().volatility == Volatility::Stable
                && !CLOCKS.contains(&call.name())
                && part.column_refs().is_empty()))
    };
    let mut named = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            named |= expression.exists(names)?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    match (named, walked) {
        (false, Ok(_)) => Ok(()),
        _ => Err(WholeReason::AcrossCustomers),
    }
}

/// Whether an expression asks for the time of the query.
fn asks_clock(expression: &Expr) -> bool {
    let is_clock = |part: &Expr| {
        Ok(matches!(part, Expr::ScalarFunction(call) if CLOCKS.contains(&call.name())))
    };
    expression.exists(is_clock).unwrap_or(true)
}

/// The functions that tell the time of the query.
const CLOCKS: [&str; 3] = ["now", "current_date", "current_time"];

#[derive(Default)]
struct Proof {
    found: Locality,
}

pub(super) type Proven<T> = Result<T, WholeReason>;

impl Proof {
    fn relation(&mut self, plan: &LogicalPlan) -> Proven<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan).map(Relation::Local),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => self.constant(plan),
            LogicalPlan::Join(join) => self.join(join).map(Relation::Local),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::SubqueryAlias(alias) => self.relation(&alias.input),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Distinct(_) => self.over_one(plan),
            _ => Err(WholeReason::AcrossCustomers),
        }
    }

    /// A node with one input.
    fn over_one(&mut self, plan: &LogicalPlan) -> Proven<Relation> {
        let input = *plan.inputs().first().ok_or(WholeReason::AcrossCustomers)?;
        let local = match self.relation(input)? {
            Relation::Local(local) => local,
            Relation::Constant => return self.constant(plan),
        };
        let schema = input.schema();
        for expression in plan.expressions() {
            self.expression(&expression, schema, &local)?;
        }
        let local = match plan {
            LogicalPlan::Projection(projection) => projected(&projection.expr, schema, &local),
            LogicalPlan::Aggregate(aggregate) => aggregated(aggregate, schema, &local)?,
            LogicalPlan::Window(window) => windowed(window, schema, local)?,
            LogicalPlan::Distinct(Distinct::On(_)) => return Err(WholeReason::AcrossCustomers),
            LogicalPlan::Distinct(_) if local.customers.is_empty() => {
                return Err(WholeReason::AcrossCustomers);
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => {
                return Err(WholeReason::AcrossCustomers);
            }
            _ => local,
        };
        Ok(Relation::Local(local))
    }

    /// A node over rows that never change. Nothing in it belongs to a customer, so that whatever
    /// needs one is refused: membership, the clock, a query of its own.
    fn constant(&mut self, plan: &LogicalPlan) -> Proven<Relation> {
        for expression in plan.expressions() {
            self.expression(&expression, plan.schema(), &Local::default())?;
        }
        Ok(Relation::Constant)
    }

    fn scan(&mut self, scan: &TableScan) -> Proven<Local> {
        if scan.fetch.is_some() {
            return Err(WholeReason::AcrossCustomers);
        }
        let provider = source_as_provider(&scan.source).map_err(|_| WholeReason::OtherTable)?;
        if let Some(segment) = provider.downcast_ref::<SegmentTable>() {
            self.found.segments.insert(segment.key().clone());
        } else if provider.downcast_ref::<EventsTable>().is_none() {
            return Err(WholeReason::OtherTable);
        }
        let schema = &scan.projected_schema;
        let places = |name: &str| schema.index_of_column_by_name(None, name).into_iter().collect();
        let local = Local { customers: places(CUSTOMER_ID), times: places(TS) };
        for filter in &scan.filters {
            self.filter_of_scan(filter, scan)?;
        }
        Ok(local)
    }

    /// A filter of a scan may name columns that the scan does not answer.
    fn filter_of_scan(&mut self, filter: &Expr, scan: &TableScan) -> Proven<()> {
        let schema =
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema());
        let schema = schema.map_err(|_| WholeReason::OtherTable)?;
        let places = |name: &str| schema.index_of_column_by_name(None, name).into_iter().collect();
        let local = Local { customers: places(CUSTOMER_ID), times: places(TS) };
        self.expression(filter, &schema, &local)
    }

    fn join(&mut self, join: &Join) -> Proven<Local> {
        let (left, right) = (self.relation(&join.left)?, self.relation(&join.right)?);
        let (Relation::Local(left), Relation::Local(right)) = (left, right) else {
            return Err(WholeReason::OtherTable);
        };
        let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
        let same_customer = join.on.iter().any(|(one, other)| {
            left.customers.iter().any(|&place| is_column(one, left_schema, place))
                && right.customers.iter().any(|&place| is_column(other, right_schema, place))
        });
        if !same_customer || (join.null_aware && may_be_null(&join.right, &right)) {
            return Err(WholeReason::AcrossCustomers);
        }
        let width = left_schema.fields().len();
        let both = Local {
            customers: beside(&left.customers, &right.customers, width),
            times: beside(&left.times, &right.times, width),
        };
        let both_schema = left_schema.join(right_schema).map_err(|_| WholeReason::OtherTable)?;
        for (one, other) in &join.on {
            self.expression(one, left_schema, &left)?;
            self.expression(other, right_schema, &right)?;
        }
        if let Some(filter) = &join.filter {
            self.expression(filter, &both_schema, &both)?;
        }
        // By name, since semi joins answer one side only and mark joins a column more.
        Ok(Local {
            customers: kept(&both.customers, &both_schema, &join.schema),
            times: kept(&both.times, &both_schema, &join.schema),
        })
    }

    fn union(&mut self, union: &Union) -> Proven<Relation> {
        let mut all: Option<Local> = None;
        for input in &union.inputs {
            let Relation::Local(local) = self.relation(input)? else {
                return Err(WholeReason::OtherTable);
            };
            all = Some(match all {
                None => local,
                Some(all) => Local {
                    customers: &all.customers & &local.customers,
                    times: &all.times & &local.times,
                },
            });
        }
        all.map(Relation::Local).ok_or(WholeReason::OtherTable)
    }

    /// An expression must follow from its row, and what it reads besides is noted.
    fn expression(&mut self, expression: &Expr, schema: &DFSchema, local: &Local) -> Proven<()> {
        let mut refused = None;
        let walked = expression.apply(|part| {
            let looked = self.part(part, schema, local);
            Ok(match looked {
                Ok(next) => next,
                Err(reason) => {
                    refused = Some(reason);
                    TreeNodeRecursion::Stop
                }
            })
        });
        match (refused, walked) {
            (Some(reason), _) => Err(reason),
            (None, Ok(_)) => Ok(()),
            (None, Err(_)) => Err(WholeReason::AcrossCustomers),
        }
    }

    fn part(&mut self, part: &Expr, schema: &DFSchema, local: &Local) -> Proven<TreeNodeRecursion> {
        match part {
            Expr::BinaryExpr(binary) if asks_clock(part) && is_comparison(binary.op) => {
                return self.clock_comparison(binary, schema, local);
            }
            Expr::Between(between) if asks_clock(part) => {
                let both = [&between.low, &between.high];
                for boundary in both.into_iter().filter(|boundary| asks_clock(boundary)) {
                    self.compared(&between.expr, boundary, schema, local)?;
                }
                let still = both.into_iter().filter(|boundary| !asks_clock(boundary));
                for boundary in still {
                    self.expression(boundary, schema, local)?;
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Expr::ScalarFunction(call) => self.call(call, schema, local)?,
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..) => return Err(WholeReason::AcrossCustomers),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn call(&mut self, call: &ScalarFunction, schema: &DFSchema, local: &Local) -> Proven<()> {
        if CLOCKS.contains(&call.name()) {
            return Err(WholeReason::Clock);
        }
        if call.func.signature().volatility == Volatility::Volatile {
            return Err(WholeReason::Volatile);
        }
        if call.func.signature().volatility != Volatility::Stable {
            return Ok(());
        }
        let of_row = call.args.first().is_some_and(|argument| {
            local.customers.iter().any(|&place| is_column(argument, schema, place))
        });
        if call.name() == IN_SEGMENT {
            let key = segment_key(&call.args).map_err(|_| WholeReason::AcrossCustomers)?;
            if !of_row {
                return Err(WholeReason::AcrossCustomers);
            }
            self.found.segments.insert(key);
            return Ok(());
        }
        // What else is looked up may be about anybody.
        match of_row {
            true => self.found.asks_identities = true,
            false => return Err(WholeReason::AcrossCustomers),
        }
        Ok(())
    }

    fn clock_comparison(
        &mut self,
        binary: &BinaryExpr,
        schema: &DFSchema,
        local: &Local,
    ) -> Proven<TreeNodeRecursion> {
        let (subject, boundary) = match (asks_clock(&binary.left), asks_clock(&binary.right)) {
            (false, true) => (&binary.left, &binary.right),
            (true, false) => (&binary.right, &binary.left),
            _ => return Err(WholeReason::Clock),
        };
        self.compared(subject, boundary, schema, local)?;
        Ok(TreeNodeRecursion::Jump)
    }

    /// Notes that something is compared with the clock, if it is a time of one event.
    fn compared(
        &mut self,
        subject: &Expr,
        boundary: &Expr,
        schema: &DFSchema,
        local: &Local,
    ) -> Proven<()> {
        self.expression(subject, schema, local)?;
        let columns = subject.column_refs();
        let is_time = |column: &&Column| {
            schema.index_of_column(column).is_ok_and(|place| local.times.contains(&place))
        };
        let one_time = columns.len() == 1 && columns.iter().all(is_time);
        if !one_time || !boundary.column_refs().is_empty() || asks_clock(subject) {
            return Err(WholeReason::Clock);
        }
        let over_ts = subject.clone().transform_up(|part| {
            Ok(match part {
                Expr::Column(_) => Transformed::yes(col(TS)),
                part => Transformed::no(part),
            })
        });
        let subject = over_ts.map_err(|_| WholeReason::Clock)?.data;
        let comparison = ClockComparison { subject, boundary: boundary.clone() };
        if !self.found.clocks.contains(&comparison) {
            self.found.clocks.push(comparison);
        }
        Ok(())
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

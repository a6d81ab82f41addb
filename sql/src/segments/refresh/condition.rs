//! A condition about the aggregates of one customer's events, and which way further events turn it.
//!
//! The condition is cut at `AND` and `OR` into tests. Whether it is TRUE follows from which tests
//! are TRUE, and with more of them it can only become so; whether a test is FALSE or NULL makes no
//! difference. So
//!
//! - who fulfils it still does when only tests that stay TRUE see something new, and
//! - who does not fulfil it still does not when only tests that stay untrue do.

use crate::segments::refresh::simple::{Simple, SimpleAggregate};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator, lit};

/// A condition, cut into tests.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Test(Test),
}

/// A part of a condition without `AND` and `OR`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    expression: Expr,
    turns: Turns,
    at_first: AtFirst,
}

/// Which way further events can turn a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    /// Once it is TRUE of some events, it is of more.
    On,
    /// When it is not TRUE of some events, at least one, it is not of more either.
    Off,
    Either,
}

/// What a test says of a customer of whose events its aggregates have seen none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtFirst {
    /// It is not TRUE, and if it turns off only, the first event does not make it so.
    NotTrue,
    Unknown,
}

impl Condition {
    /// The condition of a definition's `HAVING`.
    pub(super) fn of(definition: &Simple) -> Self {
        match &definition.having {
            Some(having) => Self::cut(having, definition),
            None => Self::All(Vec::new()),
        }
    }

    fn cut(condition: &Expr, definition: &Simple) -> Self {
        let parts = |left, right| vec![Self::cut(left, definition), Self::cut(right, definition)];
        match condition {
            Expr::BinaryExpr(binary) => match binary.op {
                Operator::And => Self::All(parts(&binary.left, &binary.right)),
                Operator::Or => Self::Any(parts(&binary.left, &binary.right)),
                _ => Self::Test(Test::compared(binary, definition)),
            },
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let low = expr.as_ref().clone().gt_eq(low.as_ref().clone());
                let high = expr.as_ref().clone().lt_eq(high.as_ref().clone());
                Self::All(parts(&low, &high))
            }
            other => Self::Test(Test::unknown(other.clone())),
        }
    }

    /// Whether it may be TRUE of a customer with an event that none of the aggregates in question
    /// sees.
    pub(super) fn may_hold_at_first(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::may_hold_at_first),
            Self::Any(parts) => parts.iter().any(Self::may_hold_at_first),
            Self::Test(test) => test.at_first == AtFirst::Unknown,
        }
    }

    /// The tests through which an event can make it TRUE.
    pub(super) fn tests_turning_on(&self) -> Vec<&Expr> {
        self.tests().into_iter().filter(|test| test.turns != Turns::Off).map(Test::asked).collect()
    }

    /// The tests through which an event can make it untrue.
    pub(super) fn tests_turning_off(&self) -> Vec<&Expr> {
        self.tests().into_iter().filter(|test| test.turns != Turns::On).map(Test::asked).collect()
    }

    fn tests(&self) -> Vec<&Test> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::tests).collect(),
            Self::Test(test) => vec![test],
        }
    }

    /// What, when it is TRUE of some of a customer's events, makes the condition TRUE of all.
    pub(super) fn surely(&self) -> Expr {
        self.with(Turns::On, &lit(false))
    }

    /// What, when it is not TRUE of some of a customer's events, makes the condition untrue of all.
    pub(super) fn perhaps(&self) -> Expr {
        self.with(Turns::Off, &lit(true))
    }

    /// The condition with a constant in place of the tests that turn otherwise.
    fn with(&self, turns: Turns, constant: &Expr) -> Expr {
        let each = |parts: &[Self]| {
            parts.iter().map(|part| part.with(turns, constant)).collect::<Vec<_>>()
        };
        match self {
            Self::All(parts) => each(parts).into_iter().reduce(Expr::and).unwrap_or(lit(true)),
            Self::Any(parts) => each(parts).into_iter().reduce(Expr::or).unwrap_or(lit(false)),
            Self::Test(test) if test.turns == turns => test.expression.clone(),
            Self::Test(_) => constant.clone(),
        }
    }
}

impl Test {
    fn unknown(expression: Expr) -> Self {
        Self { expression, turns: Turns::Either, at_first: AtFirst::Unknown }
    }

    fn asked(&self) -> &Expr {
        &self.expression
    }

    fn compared(binary: &BinaryExpr, definition: &Simple) -> Self {
        let whole = Expr::BinaryExpr(binary.clone());
        let aggregate = |side: &Expr| match side {
            Expr::Column(column) => definition.aggregate(&column.name),
            _ => None,
        };
        let sides = match (aggregate(&binary.left), aggregate(&binary.right)) {
            (Some(aggregate), None) => Some((aggregate, Some(binary.op), &binary.right)),
            (None, Some(aggregate)) => Some((aggregate, binary.op.swap(), &binary.left)),
            _ => None,
        };
        let Some((aggregate, Some(operator), constant)) = sides else {
            return Self::unknown(whole);
        };
        let Some(data_type) = type_of_constant(constant) else {
            return Self::unknown(whole);
        };
        let (turns, at_first) = match Measure::of(aggregate, definition) {
            Measure::Unknown => (Turns::Either, AtFirst::Unknown),
            _ if !is_comparison(operator) => (Turns::Either, AtFirst::Unknown),
            _ if !are_ordered_alike(&aggregate.data_type, &data_type) => {
                (Turns::Either, AtFirst::Unknown)
            }
            Measure::Count => count_compared(operator, number(constant)),
            Measure::Largest { starts } => extreme_compared(operator, starts),
            Measure::Smallest { starts } => match operator.swap() {
                Some(mirrored) => extreme_compared(mirrored, starts),
                None => (Turns::Either, AtFirst::Unknown),
            },
            // Comparisons with NULL are not TRUE.
            Measure::NullOfNothing => (Turns::Either, AtFirst::NotTrue),
        };
        Self { expression: whole, turns, at_first }
    }
}

/// What is known about the values of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// 0 of nothing, and never smaller with more events.
    Count,
    /// NULL of nothing; then never smaller with more events.
    Largest {
        starts: Starts,
    },
    /// NULL of nothing; then never larger with more events.
    Smallest {
        starts: Starts,
    },
    /// NULL of nothing; then anything.
    NullOfNothing,
    Unknown,
}

/// When an extreme stops being NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Starts {
    WithTheFirstEvent,
    Sometime,
}

impl Measure {
    fn of(aggregate: &SimpleAggregate, definition: &Simple) -> Self {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = &aggregate.expression
        else {
            return Self::Unknown;
        };
        let is_never_null = match params.args.as_slice() {
            [Expr::Column(column)] => {
                let fields = definition.scan.source.schema();
                fields.field_with_name(&column.name).is_ok_and(|field| !field.is_nullable())
            }
            _ => false,
        };
        let starts = match is_never_null && params.filter.is_none() {
            true => Starts::WithTheFirstEvent,
            false => Starts::Sometime,
        };
        match func.name() {
            "count" => Self::Count,
            "max" if is_ordered(&aggregate.data_type) => Self::Largest { starts },
            "min" if is_ordered(&aggregate.data_type) => Self::Smallest { starts },
            "max" | "min" | "sum" | "avg" => Self::NullOfNothing,
            _ => Self::Unknown,
        }
    }
}

/// A count compared with a constant, whose value may be known.
fn count_compared(operator: Operator, constant: Option<i64>) -> (Turns, AtFirst) {
    let turns = match (operator, constant) {
        (Operator::Gt | Operator::GtEq, _) | (Operator::NotEq, Some(0)) => Turns::On,
        (Operator::Lt | Operator::LtEq, _) | (Operator::Eq, Some(0)) => Turns::Off,
        _ => Turns::Either,
    };
    let is_true_of_0 = constant.is_none_or(|constant| match operator {
        Operator::Eq => constant == 0,
        Operator::NotEq => constant != 0,
        Operator::Lt => 0 < constant,
        Operator::LtEq => 0 <= constant,
        Operator::Gt => 0 > constant,
        _ => 0 >= constant,
    });
    match is_true_of_0 {
        true => (turns, AtFirst::Unknown),
        false => (turns, AtFirst::NotTrue),
    }
}

/// A largest value compared with a constant.
fn extreme_compared(operator: Operator, starts: Starts) -> (Turns, AtFirst) {
    match (operator, starts) {
        (Operator::Gt | Operator::GtEq, _) => (Turns::On, AtFirst::NotTrue),
        // It is NULL before the first event and may be TRUE with it.
        (Operator::Lt | Operator::LtEq, Starts::WithTheFirstEvent) => {
            (Turns::Off, AtFirst::Unknown)
        }
        _ => (Turns::Either, AtFirst::NotTrue),
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// The type of an expression that is the same for all customers.
fn type_of_constant(expression: &Expr) -> Option<DataType> {
    if !expression.column_refs().is_empty() || expression.is_volatile() {
        return None;
    }
    expression.get_type(&DFSchema::empty()).ok()
}

/// Types whose values are ordered without exceptions, as those with NaN are not.
fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal() || is_time(data_type)
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// Whether values of the two types are compared in the order that each has: numbers with texts, for
/// example, are not.
fn are_ordered_alike(one: &DataType, other: &DataType) -> bool {
    (one.is_numeric() && other.is_numeric()) || (is_time(one) && is_time(other))
}

/// The whole number that a literal is.
fn number(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        Expr::Literal(ScalarValue::UInt64(Some(number)), _) => i64::try_from(*number).ok(),
        _ => None,
    }
}

//! Which customers a query's filters leave over.

use crate::segments::{IN_SEGMENT, segment_key};
use crate::session::Pinned;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use habitue_storage::event::{CUSTOMER_ID, IDENTIFIER_ID};
use roaring::RoaringBitmap;

/// A set that holds every customer whose events can pass all filters; `None` when the filters say
/// nothing about customers. Events without a customer never pass when it is `Some`.
pub(crate) fn customers_wanted(filters: &[Expr], pinned: &Pinned) -> Option<RoaringBitmap> {
    filters.iter().filter_map(|filter| customers_of(filter, pinned)).reduce(|all, one| all & one)
}

fn customers_of(filter: &Expr, pinned: &Pinned) -> Option<RoaringBitmap> {
    match filter {
        Expr::BinaryExpr(binary) => customers_of_binary(binary, pinned),
        Expr::InList(list) => customers_of_list(list, pinned),
        Expr::Between(between) => customers_between(between),
        Expr::ScalarFunction(call) => members_of(call, pinned),
        Expr::Not(inner) => match inner.as_ref() {
            // Members are exact, so that their complement is; other sets may be too large.
            Expr::ScalarFunction(call) => {
                members_of(call, pinned).map(|members| pinned.identities().customers() - members)
            }
            _ => None,
        },
        _ => None,
    }
}

fn customers_of_binary(binary: &BinaryExpr, pinned: &Pinned) -> Option<RoaringBitmap> {
    let sides = || (customers_of(&binary.left, pinned), customers_of(&binary.right, pinned));
    match binary.op {
        Operator::And => match sides() {
            (Some(left), Some(right)) => Some(left & right),
            (left, right) => left.or(right),
        },
        Operator::Or => match sides() {
            (Some(left), Some(right)) => Some(left | right),
            _ => None,
        },
        operator => {
            let (column, operator, value) = match (number(&binary.left), number(&binary.right)) {
                (None, Some(value)) => (&binary.left, operator, value),
                (Some(value), None) => (&binary.right, operator.swap()?, value),
                _ => return None,
            };
            customers_compared(Numbered::of(column)?, operator, value, pinned)
        }
    }
}

/// A column of numbers that a set of customers follows from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbered {
    Customer,
    Identifier,
}

impl Numbered {
    fn of(expression: &Expr) -> Option<Self> {
        match expression {
            Expr::Column(column) if column.name == CUSTOMER_ID => Some(Self::Customer),
            Expr::Column(column) if column.name == IDENTIFIER_ID => Some(Self::Identifier),
            _ => None,
        }
    }

    /// The customers to whom these numbers belong.
    fn customers(self, numbers: impl Iterator<Item = i64>, pinned: &Pinned) -> RoaringBitmap {
        let map = pinned.identities().as_slice();
        let numbers = numbers.filter_map(|number| u32::try_from(number).ok());
        match self {
            Self::Customer => numbers.collect(),
            Self::Identifier => {
                numbers.filter_map(|identifier| map.get(identifier as usize).copied()).collect()
            }
        }
    }
}

fn customers_compared(
    column: Numbered,
    operator: Operator,
    value: i64,
    pinned: &Pinned,
) -> Option<RoaringBitmap> {
    match operator {
        Operator::Eq => Some(column.customers(std::iter::once(value), pinned)),
        _ if column == Numbered::Identifier => None,
        Operator::Lt => Some(customers_in(i64::MIN, value.saturating_sub(1))),
        Operator::LtEq => Some(customers_in(i64::MIN, value)),
        Operator::Gt => Some(customers_in(value.saturating_add(1), i64::MAX)),
        Operator::GtEq => Some(customers_in(value, i64::MAX)),
        _ => None,
    }
}

fn customers_of_list(list: &InList, pinned: &Pinned) -> Option<RoaringBitmap> {
    if list.negated {
        return None;
    }
    let numbers = list.list.iter().map(number).collect::<Option<Vec<_>>>()?;
    Some(Numbered::of(&list.expr)?.customers(numbers.into_iter(), pinned))
}

fn customers_between(between: &Between) -> Option<RoaringBitmap> {
    if between.negated || Numbered::of(&between.expr)? == Numbered::Identifier {
        return None;
    }
    Some(customers_in(number(&between.low)?, number(&between.high)?))
}

fn members_of(call: &ScalarFunction, pinned: &Pinned) -> Option<RoaringBitmap> {
    if call.name() != IN_SEGMENT || Numbered::of(call.args.first()?)? != Numbered::Customer {
        return None;
    }
    let members = pinned.members(&segment_key(&call.args).ok()?)?;
    Some(members.today().clone())
}

/// All numbers from `low` to `high`, both included.
fn customers_in(low: i64, high: i64) -> RoaringBitmap {
    let low = u32::try_from(low.max(0));
    let high = u32::try_from(high.min(i64::from(u32::MAX)));
    let mut customers = RoaringBitmap::new();
    if let (Ok(low), Ok(high)) = (low, high)
        && low <= high
    {
        customers.insert_range(low..=high);
    }
    customers
}

/// The number that a literal holds, if it holds a whole one.
fn number(expression: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expression else {
        return None;
    };
    match value {
        ScalarValue::Int64(Some(number)) => Some(*number),
        ScalarValue::Int32(Some(number)) => Some(i64::from(*number)),
        ScalarValue::UInt32(Some(number)) => Some(i64::from(*number)),
        ScalarValue::UInt64(Some(number)) => i64::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::customers_in;

    #[test]
    fn a_range_outside_all_numbers_is_nobody() {
        assert!(customers_in(-9, -1).is_empty());
        assert!(customers_in(7, 6).is_empty());
        assert!(customers_in(i64::from(u32::MAX) + 1, i64::MAX).is_empty());
    }

    #[test]
    fn a_range_holds_both_its_ends() {
        assert_eq!(customers_in(i64::MIN, 2).iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}

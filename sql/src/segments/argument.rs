//! Arguments that must be known before a query runs.

use crate::error::Error;
use crate::session::SegmentKey;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

/// The literal inside casts that the planner added.
fn literal(expression: &Expr) -> Option<&ScalarValue> {
    match expression {
        Expr::Literal(value, _) => Some(value),
        Expr::Cast(cast) => literal(&cast.expr),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

/// A text literal.
pub(crate) fn text_literal(expression: &Expr) -> Option<&str> {
    literal(expression)?.try_as_str().flatten()
}

/// A whole number literal that is not negative.
pub(crate) fn number_literal(expression: &Expr) -> Option<u64> {
    match literal(expression)? {
        ScalarValue::Int64(Some(number)) => u64::try_from(*number).ok(),
        ScalarValue::Int32(Some(number)) => u64::try_from(*number).ok(),
        ScalarValue::UInt64(Some(number)) => Some(*number),
        ScalarValue::UInt32(Some(number)) => Some(u64::from(*number)),
        _ => None,
    }
}

/// The name and the version out of `(name)` or `(name, version)`.
pub(crate) fn named_version(function: &str, arguments: &[Expr]) -> Result<SegmentKey> {
    let refused = |came: String| {
        let reason = format!(
            "{came} came, a segment's name as a text and perhaps a version number are wanted, \
             like {function}('vip') or {function}('vip', 2)"
        );
        Error::invalid(format!("argument of {function}"), reason)
    };
    let (name, version) = match arguments {
        [name] => (name, None),
        [name, version] => (name, Some(version)),
        other => return Err(refused(format!("{} arguments", other.len())).into()),
    };
    let named = text_literal(name).ok_or_else(|| refused(name.to_string()))?.to_owned();
    let version = match version {
        Some(version) => Some(number_literal(version).ok_or_else(|| refused(version.to_string()))?),
        None => None,
    };
    Ok((named, version))
}

/// The segment out of the arguments of `in_segment(customer_id, name[, version])`.
pub(crate) fn segment_key(arguments: &[Expr]) -> Result<SegmentKey> {
    let segment = arguments.get(1..).unwrap_or_default();
    named_version("in_segment(customer_id, …)", segment)
}

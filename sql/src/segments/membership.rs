//! `in_segment(customer_id, name[, version])`: whether a customer is in a segment.
//!
//! ```sql
//! SELECT count(*) FROM events WHERE in_segment(customer_id, 'vip');
//! ```
//!
//! NULL for a NULL customer. As a filter over `events` it leaves out files and rows.

use crate::segments::argument::named_version;
use crate::session::{Pinned, SegmentKey};
use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, lit,
};
use std::sync::Arc;

/// The name of the function.
pub(crate) const IN_SEGMENT: &str = "in_segment";

/// The function over the segments of one snapshot.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct InSegment {
    signature: Signature,
    pinned: Arc<Pinned>,
}

impl InSegment {
    pub(crate) fn new(pinned: Arc<Pinned>) -> Self {
        let name_only = TypeSignature::Exact(vec![DataType::Int64, DataType::Utf8]);
        let with_version =
            TypeSignature::Exact(vec![DataType::Int64, DataType::Utf8, DataType::Int64]);
        let signatures = vec![name_only, with_version];
        Self { signature: Signature::one_of(signatures, Volatility::Stable), pinned }
    }
}

/// The call `in_segment(customer, name[, version])`.
pub(crate) fn is_in_segment(customer: Expr, segment: &SegmentKey, pinned: &Arc<Pinned>) -> Expr {
    let function = Arc::new(ScalarUDF::from(InSegment::new(pinned.clone())));
    let mut arguments = vec![customer, lit(segment.0.as_str())];
    if let Some(version) = segment.1 {
        arguments.push(lit(i64::try_from(version).unwrap_or(i64::MAX)));
    }
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
}

/// The value of an argument that is the same for all rows, as a literal.
fn constant(value: &ColumnarValue) -> Result<Expr> {
    let value = match value {
        ColumnarValue::Scalar(value) => value.clone(),
        ColumnarValue::Array(values) if !values.is_empty() => {
            ScalarValue::try_from_array(values, 0)?
        }
        ColumnarValue::Array(_) => ScalarValue::Null,
    };
    Ok(Expr::Literal(value, None))
}

impl ScalarUDFImpl for InSegment {
    fn name(&self) -> &str {
        IN_SEGMENT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constants = call.args[1..].iter().map(constant).collect::<Result<Vec<_>>>()?;
        let segment = named_version(IN_SEGMENT, &constants)?;
        let members = self.pinned.members(&segment).ok_or_else(|| {
            DataFusionError::Internal(format!("segment '{}' was not read", segment.0))
        })?;
        let contains = |customer: i64| {
            u32::try_from(customer).is_ok_and(|customer| members.today().contains(customer))
        };
        match &call.args[0] {
            ColumnarValue::Scalar(ScalarValue::Int64(customer)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(customer.map(contains))))
            }
            other => {
                let customers = other.to_array(call.number_rows)?;
                let customers = customers.as_primitive::<Int64Type>();
                // Rows mostly come customer by customer: who is asked about again is known.
                let mut last = None;
                let mut is_member = |customer: i64| match last {
                    Some((known, found)) if known == customer => found,
                    _ => last.insert((customer, contains(customer))).1,
                };
                let found = customers.iter().map(|one| one.map(&mut is_member));
                let found = found.collect::<BooleanArray>();
                Ok(ColumnarValue::Array(Arc::new(found)))
            }
        }
    }
}

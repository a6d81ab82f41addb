//! `identifier_count(customer_id)`: how many identifiers a customer has.
//!
//! ```sql
//! SELECT identifier_count(customer_of('email', 'ada@example.com'));
//! ```

use crate::session::Pinned;
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// The function over the identities of one snapshot.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct IdentifierCount {
    signature: Signature,
    pinned: Arc<Pinned>,
}

impl IdentifierCount {
    pub(crate) fn new(pinned: Arc<Pinned>) -> Self {
        Self { signature: Signature::exact(vec![DataType::Int64], Volatility::Stable), pinned }
    }
}

impl ScalarUDFImpl for IdentifierCount {
    fn name(&self) -> &str {
        "identifier_count"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let customers = call.args[0].to_array(call.number_rows)?;
        let identities = self.pinned.identities();
        let count = |customer: i64| {
            let known = u32::try_from(customer).ok();
            let known = known.filter(|&customer| identities.customers().contains(customer));
            known.map_or(0, |customer| {
                i64::try_from(identities.identifiers_of(customer).len()).unwrap_or(i64::MAX)
            })
        };
        let customers = customers.as_primitive::<Int64Type>();
        let counts: Int64Array = customers.iter().map(|customer| customer.map(count)).collect();
        Ok(ColumnarValue::Array(Arc::new(counts)))
    }
}

//! `customer_of(namespace, value)`: the customer to whom an identifier belongs.
//!
//! ```sql
//! SELECT customer_of('email', 'Ada@Example.com');
//! ```
//!
//! The value is normalised as events are; NULL when nobody has it.

use crate::error::{Error, Named};
use crate::session::Pinned;
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use habitue_storage::dictionary::ValueRules;
use std::sync::Arc;

/// The name of the function.
pub(crate) const CUSTOMER_OF: &str = "customer_of";

/// The function over the dictionary of one snapshot.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CustomerOf {
    signature: Signature,
    pinned: Arc<Pinned>,
}

impl CustomerOf {
    pub(crate) fn new(pinned: Arc<Pinned>) -> Self {
        let arguments = vec![DataType::Utf8, DataType::Utf8];
        Self { signature: Signature::exact(arguments, Volatility::Stable), pinned }
    }

    fn customer(&self, namespace: &str, value: &str) -> Result<Option<i64>> {
        let catalog = self.pinned.catalog();
        let Some(number) = catalog.namespace_number(namespace) else {
            let known = catalog.namespaces.iter().map(|namespace| namespace.name.as_str());
            return Err(Error::unknown(Named::Namespace, namespace, known).into());
        };
        let dictionary = self.pinned.dictionary();
        let dictionary = dictionary
            .ok_or_else(|| DataFusionError::Internal("the dictionary was not read".into()))?;
        let rules = ValueRules::new(&catalog.namespaces[usize::from(number)]);
        let identifier = rules.normalise(value).and_then(|value| dictionary.find(number, &value));
        let map = self.pinned.identities().as_slice();
        Ok(identifier.and_then(|identifier| map.get(identifier as usize)).map(|&c| i64::from(c)))
    }
}

impl ScalarUDFImpl for CustomerOf {
    fn name(&self) -> &str {
        CUSTOMER_OF
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&call.args)?;
        let (namespaces, values) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
        let customers = namespaces.iter().zip(values).map(|pair| match pair {
            (Some(namespace), Some(value)) => self.customer(namespace, value),
            _ => Ok(None),
        });
        let customers = customers.collect::<Result<Int64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(customers)))
    }
}

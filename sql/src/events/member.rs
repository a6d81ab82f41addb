//! Members of `properties` as columns of their own, such as `properties->>'country'`.
//!
//! Nobody sees these columns: an optimizer rule asks for them in the place of the expression. A
//! member with few values is then a label like any other: decoded once, kept, and compared label by
//! label.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion_functions_json::udfs::json_as_text_udf;
use std::collections::HashSet;
use std::sync::Arc;

const PREFIX: &str = "properties->>'";
const SUFFIX: &str = "'";
/// A member with more distinct values than these, and than one in so many rows, is no label.
const VALUES_ALWAYS: usize = 16;
const ROWS_PER_VALUE_MIN: usize = 8;

/// The name of the function behind `->>`.
pub(crate) const JSON_AS_TEXT: &str = "json_as_text";

/// The column of a member; the name of no other column can look like this.
pub(crate) fn column_of_member(key: &str) -> String {
    format!("{PREFIX}{key}{SUFFIX}")
}

/// The member that a column holds.
pub(crate) fn member_of_column(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

/// A member of each of these JSON texts, as text; exactly what `->>` answers.
pub(crate) fn member_texts(json: &ArrayRef, key: &str) -> Result<ArrayRef> {
    let key = ScalarValue::Utf8(Some(key.to_owned()));
    let field = |name, data_type: &DataType| Arc::new(Field::new(name, data_type.clone(), true));
    let arguments = ScalarFunctionArgs {
        arg_fields: vec![field("json", json.data_type()), field("key", &DataType::Utf8)],
        args: vec![ColumnarValue::Array(json.clone()), ColumnarValue::Scalar(key)],
        number_rows: json.len(),
        return_field: field(JSON_AS_TEXT, &DataType::Utf8),
        config_options: Arc::new(ConfigOptions::default()),
    };
    let texts = json_as_text_udf().invoke_with_args(arguments)?;
    texts.into_array(json.len())
}

/// Whether a member of these JSON texts has so few values that they can be labels.
pub(crate) fn has_few_values(json: &ArrayRef, key: &str) -> Result<bool> {
    let texts = member_texts(json, key)?;
    let known = texts.len() - texts.null_count();
    let distinct = texts.as_string::<i32>().iter().flatten().collect::<HashSet<_>>();
    Ok(distinct.len() <= VALUES_ALWAYS.max(known / ROWS_PER_VALUE_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    #[test]
    fn a_column_has_the_name_of_its_member() {
        for key in ["country", "it's", ""] {
            assert_eq!(member_of_column(&column_of_member(key)), Some(key));
        }
        assert_eq!(member_of_column("properties"), None);
    }

    #[test]
    fn numbers_of_orders_are_no_labels_and_countries_are() {
        let json = |row: usize| format!(r#"{{"order":{row},"country":"{}"}}"#, row % 5);
        let json: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(json)));
        assert!(has_few_values(&json, "country").unwrap());
        assert!(!has_few_values(&json, "order").unwrap());
        assert!(has_few_values(&json, "absent").unwrap());
    }
}

//! Members of `properties` as columns of their own, such as `properties->>'country'`.
//!
//! Nobody sees these columns: an optimizer rule asks for them in the place of the expression. A
//! member with few values is then a label like any other: decoded once, kept, and compared label by
//! label. Compacted files may have columns for members, too; see
//! [`Members`](habitue_storage::data_file::Members).

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion_functions_json::udfs::json_as_text_udf;
use std::collections::HashSet;
use std::sync::Arc;

/// A member with more distinct values than these, and than one in so many rows, is no label.
const VALUES_ALWAYS: usize = 16;
const ROWS_PER_VALUE_MIN: usize = 8;

/// The name of the function behind `->>`.
pub(crate) const JSON_AS_TEXT: &str = "json_as_text";

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

/// What a data file stores of one member, in the columns that it has.
pub(crate) struct StoredMember<'a> {
    pub(crate) key: &'a str,
    /// Texts of `properties` that are not split.
    pub(crate) whole: &'a ArrayRef,
    /// Texts of the member.
    pub(crate) text: Option<&'a ArrayRef>,
    /// Values of the member as JSON.
    pub(crate) json: Option<&'a ArrayRef>,
}

impl StoredMember<'_> {
    /// The column that says it all, if one does.
    pub(crate) fn only_texts(&self) -> Option<&ArrayRef> {
        let is_empty = |column: &ArrayRef| column.null_count() == column.len();
        let others = [Some(self.whole), self.json];
        self.text.filter(|_| others.into_iter().flatten().all(is_empty))
    }

    /// The member as text, exactly what `->>` answers for the texts that were split.
    pub(crate) fn texts(&self) -> Result<ArrayRef> {
        if let Some(texts) = self.only_texts() {
            return Ok(cast(texts, &DataType::Utf8)?);
        }
        let in_whole = member_texts(&cast(self.whole, &DataType::Utf8)?, self.key)?;
        let text = self.text.map(|column| cast(column, &DataType::Utf8)).transpose()?;
        let json = self.json.map(texts_of_json).transpose()?;
        let columns = [text, json].into_iter().flatten().chain([in_whole]).collect::<Vec<_>>();
        let columns = columns.iter().map(AsArray::as_string::<i32>).collect::<Vec<_>>();
        let text = |row: usize| {
            let column = columns.iter().find(|column| column.is_valid(row))?;
            Some(column.value(row))
        };
        Ok(Arc::new((0..self.whole.len()).map(text).collect::<StringArray>()))
    }
}

/// What `->>` answers for members with these values.
fn texts_of_json(values: &ArrayRef) -> Result<ArrayRef> {
    let values = cast(values, &DataType::Utf8)?;
    let values = values.as_string::<i32>().iter();
    let objects = values.map(|value| value.map(|value| format!(r#"{{"value":{value}}}"#)));
    member_texts(&(Arc::new(objects.collect::<StringArray>()) as ArrayRef), "value")
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

    #[test]
    fn numbers_of_orders_are_no_labels_and_countries_are() {
        let json = |row: usize| format!(r#"{{"order":{row},"country":"{}"}}"#, row % 5);
        let json: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(json)));
        assert!(has_few_values(&json, "country").unwrap());
        assert!(!has_few_values(&json, "order").unwrap());
        assert!(has_few_values(&json, "absent").unwrap());
    }

    // If this fails, `->>` answers differently before and after a compaction.
    #[test]
    fn a_member_has_the_same_text_wherever_it_is_stored() {
        let values =
            [r#""AT""#, "1.50", "1e3", "-0", "true", "null", "{}", r#"[1, "x"]"#, r#""a\"b""#];
        let whole = values.map(|value| format!(r#"{{"k":{value}}}"#));
        let whole: ArrayRef = Arc::new(StringArray::from_iter_values(whole));
        let nothing: ArrayRef = Arc::new(StringArray::new_null(values.len()));
        let json: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        let split = StoredMember { key: "k", whole: &nothing, text: None, json: Some(&json) };
        assert_eq!(&split.texts().unwrap(), &member_texts(&whole, "k").unwrap());
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("AT"), None, None]));
        let whole: ArrayRef = Arc::new(StringArray::from(vec![None, Some(r#"{"k":7}"#), None]));
        let json: ArrayRef = Arc::new(StringArray::from(vec![None, None, Some("8")]));
        let mixed = StoredMember { key: "k", whole: &whole, text: Some(&texts), json: Some(&json) };
        let wanted: ArrayRef = Arc::new(StringArray::from(vec!["AT", "7", "8"]));
        assert_eq!(&mixed.texts().unwrap(), &wanted);
        assert!(mixed.only_texts().is_none());
    }
}

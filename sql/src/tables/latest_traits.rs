//! `latest_traits(traits, ts)`: JSON objects merged into one, the newest value of each key.
//!
//! ```sql
//! SELECT latest_traits(properties, ts) FROM events WHERE event = '$identify';
//! ```
//!
//! Keys are in the order of their names. Of two values at the same time the one whose JSON text is
//! greater counts, so that the answer does not depend on the order of rows. Keys that begin with
//! `$` say something of the call (`$context`), not of the person, and are left out, as is what is
//! no JSON object; NULL when nothing is left.

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use habitue_storage::event::timestamp_type;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LatestTraits {
    signature: Signature,
}

impl Default for LatestTraits {
    fn default() -> Self {
        let arguments = vec![DataType::Utf8, timestamp_type()];
        Self { signature: Signature::exact(arguments, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for LatestTraits {
    fn name(&self) -> &str {
        "latest_traits"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Traits::default()))
    }

    fn state_fields(&self, _args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new("traits", DataType::Utf8, true))])
    }
}

/// The newest value of each key: its time and its JSON text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traits {
    values: BTreeMap<String, (i64, String)>,
}

impl Traits {
    fn observe(&mut self, traits: &str, time: i64) {
        let Ok(traits) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(traits) else {
            return;
        };
        for (key, value) in traits.into_iter().filter(|(key, _)| !key.starts_with('$')) {
            self.observe_value(key, time, value.get());
        }
    }

    fn observe_value(&mut self, key: String, time: i64, value: &str) {
        let known = self.values.get(&key);
        let is_newer = known.is_none_or(|(at, text)| (*at, text.as_str()) < (time, value));
        if is_newer {
            self.values.insert(key, (time, value.to_owned()));
        }
    }

    fn answer(&self) -> Option<String> {
        if self.values.is_empty() {
            return None;
        }
        let pairs = self
            .values
            .iter()
            .map(|(key, (_, value))| format!("{}:{value}", serde_json::Value::String(key.clone())));
        Some(format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")))
    }
}

impl Accumulator for Traits {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let traits = values[0].as_string::<i32>();
        let times = values[1].as_primitive::<TimestampMicrosecondType>();
        for (traits, time) in traits.iter().zip(times) {
            if let (Some(traits), Some(time)) = (traits, time) {
                self.observe(traits, time);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states: &StringArray = states[0].as_string();
        for state in states.iter().flatten() {
            let values: BTreeMap<String, (i64, String)> = serde_json::from_str(state)
                .map_err(|error| DataFusionError::Internal(error.to_string()))?;
            for (key, (time, value)) in values {
                self.observe_value(key, time, &value);
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = serde_json::to_string(&self.values)
            .map_err(|error| DataFusionError::Internal(error.to_string()))?;
        Ok(vec![ScalarValue::Utf8(Some(state))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(self.answer()))
    }

    fn size(&self) -> usize {
        let texts = self.values.iter().map(|(key, (_, value))| key.len() + value.len());
        size_of_val(self) + texts.sum::<usize>() + self.values.len() * size_of::<(String, i64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(rows: &[(&str, i64)]) -> Option<String> {
        let mut traits = Traits::default();
        for (row, time) in rows {
            traits.observe(row, *time);
        }
        traits.answer()
    }

    #[test]
    fn the_newest_value_of_each_key_is_kept() {
        let rows = [(r#"{"city":"Bonn","plan":"a"}"#, 1), (r#"{"plan":"b"}"#, 2)];
        assert_eq!(merged(&rows).as_deref(), Some(r#"{"city":"Bonn","plan":"b"}"#));
    }

    #[test]
    fn the_order_of_rows_changes_nothing() {
        let rows = [(r#"{"a":1}"#, 5), (r#"{"a":2}"#, 5), (r#"{"a":3}"#, 4)];
        let mut turned = rows;
        turned.reverse();
        assert_eq!(merged(&rows), merged(&turned));
    }

    #[test]
    fn numbers_keep_their_text() {
        assert_eq!(merged(&[(r#"{"n":1.10}"#, 1)]).as_deref(), Some(r#"{"n":1.10}"#));
    }

    #[test]
    fn what_belongs_to_the_call_is_no_trait() {
        assert_eq!(
            merged(&[(r#"{"$context":{"ip":"x"},"a":1}"#, 1)]).as_deref(),
            Some(r#"{"a":1}"#)
        );
        assert_eq!(merged(&[(r#"{"$context":{}}"#, 1)]), None);
    }

    #[test]
    fn nothing_and_nonsense_are_null() {
        assert_eq!(merged(&[]), None);
        assert_eq!(merged(&[("[1]", 1), ("nonsense", 2)]), None);
    }

    #[test]
    fn states_merge_like_rows() {
        let (mut left, mut right) = (Traits::default(), Traits::default());
        left.observe(r#"{"a":1}"#, 1);
        right.observe(r#"{"a":"x","b":null}"#, 2);
        let state = right.state().unwrap()[0].to_array().unwrap();
        left.merge_batch(&[state]).unwrap();
        assert_eq!(left.answer().as_deref(), Some(r#"{"a":"x","b":null}"#));
    }
}

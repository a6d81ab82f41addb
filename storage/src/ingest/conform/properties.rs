//! `properties`: one JSON object per row, with a member for each column that has no place of its own.

use super::faults::{Faults, quoted};
use super::json;
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::sync::Arc;

/// Checks the column `properties`, if there is one, and adds the members of `others`.
pub(crate) fn properties(
    given: Option<&ArrayRef>,
    others: &RecordBatch,
    faults: &mut Faults,
) -> Result<ArrayRef> {
    let given = given.map(|array| given_objects(array, faults)).transpose()?;
    if others.num_columns() == 0 {
        let none = || Arc::new(StringArray::new_null(others.num_rows())) as ArrayRef;
        return Ok(given.unwrap_or_else(none));
    }
    let members = json::objects(others)?;
    let Some(given) = given else {
        let alone: StringArray =
            members.into_iter().map(|object| (object != "{}").then_some(object)).collect();
        return Ok(Arc::new(alone));
    };
    let given = given.as_string::<i32>();
    let merged: StringArray = members
        .into_iter()
        .enumerate()
        .map(|(row, members)| {
            let object = given.is_valid(row).then(|| given.value(row));
            match merge(object, members) {
                Ok(merged) => merged,
                Err(reason) => {
                    faults.add(row, || reason);
                    None
                }
            }
        })
        .collect();
    Ok(Arc::new(merged))
}

/// The objects as they came; text that is no JSON object is a fault.
fn given_objects(array: &ArrayRef, faults: &mut Faults) -> Result<ArrayRef> {
    let failed = |error| Error::Arrow {
        during: "bringing column \"properties\" to text".into(),
        source: Arc::new(error),
    };
    let text: ArrayRef = match array.data_type() {
        DataType::Struct(_) | DataType::Map(..) => {
            return Ok(Arc::new(StringArray::from(json::values(array)?)));
        }
        DataType::Utf8 => Arc::clone(array),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) | DataType::Null => {
            cast(array, &DataType::Utf8).map_err(failed)?
        }
        other => {
            for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
                faults.add(row, || format!("properties is a {other}, a JSON object is wanted"));
            }
            return Ok(Arc::new(StringArray::new_null(array.len())));
        }
    };
    let objects = text.as_string::<i32>();
    let mut has_empty = false;
    for row in (0..objects.len()).filter(|&row| objects.is_valid(row)) {
        let object = objects.value(row);
        if object.trim().is_empty() {
            has_empty = true;
        } else if let Err(reason) = names_of(object) {
            faults.add(row, || reason);
        }
    }
    if !has_empty {
        return Ok(text);
    }
    // Empty text is how CSV writes NULL.
    let is_there = |object: &&str| !object.trim().is_empty();
    Ok(Arc::new(objects.iter().map(|o| o.filter(is_there)).collect::<StringArray>()))
}

/// One object with the members of both. A member that stands in both is a fault: neither may be
/// dropped silently.
fn merge(given: Option<&str>, members: String) -> Result<Option<String>, String> {
    let Some(given) = given else {
        return Ok((members != "{}").then_some(members));
    };
    if members == "{}" {
        return Ok(Some(given.to_owned()));
    }
    let Ok(names) = names_of(given) else {
        return Ok(None);
    };
    if names.is_empty() {
        return Ok(Some(members));
    }
    let added = names_of(&members)?;
    if let Some(twice) = names.iter().find(|name| added.contains(name)) {
        let name = quoted(twice);
        return Err(format!("{name} stands in properties and in a column of its own"));
    }
    let trimmed = given.trim_end();
    let front = trimmed.strip_suffix('}').unwrap_or(trimmed);
    Ok(Some(format!("{front},{}", &members[1..])))
}

/// The names of the members of a JSON object, or why it is none.
fn names_of(text: &str) -> Result<Vec<String>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(Names)
        .and_then(|names| deserializer.end().map(|()| names))
        .map_err(|error| {
            let what = quoted(text);
            format!("properties is not a JSON object: {error}. properties={what}")
        })
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StructArray};
    use arrow::datatypes::{Field, Schema};

    fn others(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap()
    }

    fn read(given: Option<&ArrayRef>, others: &RecordBatch) -> Vec<Result<Option<String>, String>> {
        let mut faults = Faults::default();
        let array = properties(given, others, &mut faults).unwrap();
        let mut reasons = faults.into_reasons();
        let text = array.as_string::<i32>();
        (0..text.len())
            .map(|row| match reasons.remove(&row) {
                Some(reason) => Err(reason),
                None => Ok(text.is_valid(row).then(|| text.value(row).to_owned())),
            })
            .collect()
    }

    fn text(values: Vec<Option<&str>>) -> ArrayRef {
        Arc::new(StringArray::from(values))
    }

    fn nothing(rows: usize) -> RecordBatch {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()
    }

    #[test]
    fn objects_stay_as_they_came() {
        let odd = "  {\"a\" : 1.50, \"a\": \"twice\"} ";
        let answers = read(Some(&text(vec![Some(odd), None, Some(""), Some("{}")])), &nothing(4));
        assert_eq!(answers, [Ok(Some(odd.into())), Ok(None), Ok(None), Ok(Some("{}".into()))]);
    }

    #[test]
    fn what_is_no_object_is_rejected_alone() {
        let deep = "[".repeat(100_000);
        let given = vec![Some("[1]"), Some("{\"a\":"), Some("7"), Some(deep.as_str()), Some("{}x")];
        for answer in read(Some(&text(given)), &nothing(5)) {
            assert!(answer.is_err_and(|why| why.contains("not a JSON object") && why.len() < 400));
        }
    }

    // If this fails, columns that nobody mapped are lost.
    #[test]
    fn unknown_columns_become_members() {
        let nested = StructArray::from(vec![(
            Arc::new(Field::new("b", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)])) as ArrayRef,
        )]);
        let others = others(vec![
            ("x", Arc::new(Int64Array::from(vec![Some(1), None, None, Some(4)]))),
            ("n", Arc::new(nested)),
        ]);
        let given = text(vec![Some("{\"a\":{\"z\":{}}} "), Some("{}"), None, Some("{\"x\":0}")]);
        let answers = read(Some(&given), &others);
        let parse = |row: usize| -> serde_json::Value {
            serde_json::from_str(answers[row].as_ref().unwrap().as_ref().unwrap()).unwrap()
        };
        assert_eq!(parse(0), serde_json::json!({"a": {"z": {}}, "x": 1, "n": {"b": 1}}));
        assert_eq!(parse(1), serde_json::json!({"n": {"b": 2}}));
        assert_eq!(parse(2), serde_json::json!({"n": {}}));
        assert!(answers[3].as_ref().is_err_and(|why| why.contains("'x' stands in properties")));
    }

    #[test]
    fn structs_are_objects() {
        let nested = StructArray::from(vec![(
            Arc::new(Field::new("b", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
        )]);
        let answers = read(Some(&(Arc::new(nested) as ArrayRef)), &nothing(2));
        assert_eq!(answers, [Ok(Some("{\"b\":1}".into())), Ok(Some("{}".into()))]);
    }
}

//! `properties`: one JSON object per row, with a member for each column that has no place of its own.

use super::faults::{Faults, quoted};
use super::json;
use super::json_scan::{Scan, scan};
use super::members::Members;
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
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
    let members = Members::of(others)?;
    let Some(given) = given.map(|array| given_texts(array, faults)).transpose()? else {
        return alone(&members, others.num_rows());
    };
    let given = given.as_string::<i32>();
    if members.is_empty() {
        return Ok(checked(given, faults));
    }
    let mut merged = StringBuilder::with_capacity(given.len(), given.value_data().len());
    let mut text = String::new();
    for row in 0..given.len() {
        text.clear();
        let object = object_at(given, row);
        match merge(object, row, &members, &mut text) {
            Ok(Merged::Text) => merged.append_value(&text),
            Ok(Merged::Nothing) => merged.append_null(),
            Err(Refused::Row(reason)) => {
                faults.add(row, || reason);
                merged.append_null();
            }
            Err(Refused::All(error)) => return Err(error),
        }
    }
    Ok(Arc::new(merged.finish()))
}

/// The members of each row as an object; NULL where there are none.
fn alone(members: &Members, rows: usize) -> Result<ArrayRef> {
    if members.is_empty() {
        return Ok(Arc::new(StringArray::new_null(rows)));
    }
    let mut objects = StringBuilder::new();
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        text.push('{');
        members.put(row, &mut text)?;
        text.push('}');
        objects.append_option((text != "{}").then_some(&text));
    }
    Ok(Arc::new(objects.finish()))
}

/// The objects as they came; text that is no JSON object is a fault.
fn checked(given: &StringArray, faults: &mut Faults) -> ArrayRef {
    let mut has_empty = false;
    for row in (0..given.len()).filter(|&row| given.is_valid(row)) {
        match object_at(given, row) {
            None => has_empty = true,
            Some(object) if scan(object, |_| {}) == Scan::Unsure => {
                if let Err(reason) = names_of(object) {
                    faults.add(row, || reason);
                }
            }
            Some(_) => {}
        }
    }
    if !has_empty {
        return Arc::new(given.clone());
    }
    Arc::new((0..given.len()).map(|row| object_at(given, row)).collect::<StringArray>())
}

/// The text of a row. Empty text is how CSV writes NULL.
fn object_at(given: &StringArray, row: usize) -> Option<&str> {
    let text = given.is_valid(row).then(|| given.value(row))?;
    (!text.trim_start().is_empty()).then_some(text)
}

/// The column as text; what cannot be text is a fault.
fn given_texts(array: &ArrayRef, faults: &mut Faults) -> Result<ArrayRef> {
    let failed = |error| Error::Arrow {
        during: "bringing column \"properties\" to text".into(),
        source: Arc::new(error),
    };
    match array.data_type() {
        DataType::Struct(_) | DataType::Map(..) => {
            Ok(Arc::new(StringArray::from(json::values(array)?)))
        }
        DataType::Utf8 => Ok(Arc::clone(array)),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) | DataType::Null => {
            cast(array, &DataType::Utf8).map_err(failed)
        }
        other => {
            for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
                faults.add(row, || format!("properties is a {other}, a JSON object is wanted"));
            }
            Ok(Arc::new(StringArray::new_null(array.len())))
        }
    }
}

/// What became of a row.
enum Merged {
    /// Its object stands in the buffer.
    Text,
    /// It has no members at all, and no object came.
    Nothing,
}

/// Why a row has no object.
enum Refused {
    Row(String),
    All(Error),
}

/// Puts one object with the members of both into `text`. A member that stands in both is a fault:
/// neither may be dropped silently.
fn merge(
    given: Option<&str>,
    row: usize,
    members: &Members,
    text: &mut String,
) -> Result<Merged, Refused> {
    let mut twice = None;
    let mut note = |name: &str| {
        if twice.is_none() && members.has(row, name) {
            twice = Some(quoted(name));
        }
    };
    let has_members = match given.map(|object| (object, scan(object, &mut note))) {
        None | Some((_, Scan::Empty)) => false,
        Some((_, Scan::Members)) => true,
        Some((object, Scan::Unsure)) => {
            let names = names_of(object).map_err(Refused::Row)?;
            names.iter().for_each(|name| note(name));
            !names.is_empty()
        }
    };
    if let Some(twice) = twice {
        let reason = format!("{twice} stands in properties and in a column of its own");
        return Err(Refused::Row(reason));
    }
    let front = if has_members { given.unwrap_or_default().trim_end() } else { "{" };
    text.push_str(front.strip_suffix('}').unwrap_or(front));
    let before = text.len();
    if has_members {
        text.push(',');
    }
    let start = text.len();
    members.put(row, text).map_err(Refused::All)?;
    if text.len() > start {
        text.push('}');
        return Ok(Merged::Text);
    }
    // Nothing to add: the object stays as it came.
    text.truncate(before);
    let Some(given) = given else {
        return Ok(Merged::Nothing);
    };
    text.clear();
    text.push_str(given);
    Ok(Merged::Text)
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

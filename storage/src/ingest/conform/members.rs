//! The columns that have no place of their own, row by row as members of a JSON object.

use super::json;
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

/// Columns as members.
pub(super) enum Members {
    /// Text, integers and truths, written value by value.
    Plain(Vec<Member>),
    /// Any others, told by Arrow's own writer: `{…}` for each row.
    Told { columns: Vec<(String, ArrayRef)>, objects: Vec<String> },
}

/// A column of text or of bare words, and its name as JSON.
pub(super) struct Member {
    name: String,
    /// `"name":`
    front: String,
    values: StringArray,
    /// Whether the values are JSON as they stand, without quotes.
    is_bare: bool,
}

impl Members {
    pub(super) fn of(columns: &RecordBatch) -> Result<Self> {
        let schema = columns.schema_ref();
        let fields = || schema.fields().iter().zip(columns.columns());
        if fields().all(|(field, _)| is_bare(field.data_type()).is_some()) {
            let plain = fields().map(|(field, array)| Member::of(field.name(), array));
            return Ok(Self::Plain(plain.collect::<Result<_>>()?));
        }
        Ok(Self::Told {
            columns: fields().map(|(field, array)| (field.name().clone(), array.clone())).collect(),
            objects: json::objects(columns)?,
        })
    }

    /// Whether there are no columns at all.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Plain(plain) if plain.is_empty())
    }

    /// Whether this row has a member of this name.
    pub(super) fn has(&self, row: usize, name: &str) -> bool {
        match self {
            Self::Plain(plain) => {
                plain.iter().any(|member| member.name == name && member.values.is_valid(row))
            }
            Self::Told { columns, .. } => {
                columns.iter().any(|(column, array)| column == name && array.is_valid(row))
            }
        }
    }

    /// Appends the members of a row with commas between them, and no braces.
    pub(super) fn put(&self, row: usize, text: &mut String) -> Result<()> {
        let plain = match self {
            Self::Plain(plain) => plain,
            Self::Told { objects, .. } => {
                let object = objects[row].as_str();
                let inside = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                text.push_str(inside.unwrap_or_default());
                return Ok(());
            }
        };
        let start = text.len();
        for member in plain.iter().filter(|member| member.values.is_valid(row)) {
            if text.len() > start {
                text.push(',');
            }
            text.push_str(&member.front);
            let value = member.values.value(row);
            if member.is_bare {
                text.push_str(value);
            } else {
                put_string(value, text)?;
            }
        }
        Ok(())
    }
}

impl Member {
    fn of(name: &str, array: &ArrayRef) -> Result<Self> {
        let values = cast(array, &DataType::Utf8).map_err(|error| {
            Error::invalid("a column", format!("{name:?} cannot be told as JSON: {error}"))
        })?;
        let mut front = String::new();
        put_string(name, &mut front)?;
        front.push(':');
        Ok(Self {
            name: name.to_owned(),
            front,
            values: values.as_string::<i32>().clone(),
            is_bare: is_bare(array.data_type()) == Some(true),
        })
    }
}

/// Whether values of this type stand without quotes; `None` for types that are not plain.
fn is_bare(data_type: &DataType) -> Option<bool> {
    match data_type {
        DataType::Boolean => Some(true),
        integer if integer.is_integer() => Some(true),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(false),
        DataType::Dictionary(_, values) => match **values {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Appends text as a JSON string.
fn put_string(value: &str, text: &mut String) -> Result<()> {
    if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        text.push('"');
        text.push_str(value);
        text.push('"');
        return Ok(());
    }
    let escaped = serde_json::to_string(value)
        .map_err(|error| Error::Internal(format!("text cannot be told as JSON: {error}")))?;
    text.push_str(&escaped);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, DictionaryArray, Int64Array, StringViewArray, UInt8Array};
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    // If this fails, the same file read by another version gets other event ids: all rows twice.
    #[test]
    fn plain_members_are_written_as_arrow_writes_them() {
        let odd = "q\" b\\ n\n u\u{1} ü\u{7f}";
        let labels: DictionaryArray<Int32Type> = [Some("x"), None, Some(odd)].into_iter().collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("a \"b\"", Arc::new(StringArray::from(vec![Some(odd), None, Some("")])) as _, true),
            ("v", Arc::new(StringViewArray::from(vec![None, None, Some("y")])) as _, true),
            ("l", Arc::new(labels) as _, true),
            ("n", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(7)])) as _, true),
            ("u", Arc::new(UInt8Array::from(vec![Some(255), None, Some(0)])) as _, true),
            ("t", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as _, true),
        ])
        .unwrap();
        let members = Members::of(&batch).unwrap();
        assert!(matches!(members, Members::Plain(_)));
        for (row, wanted) in json::objects(&batch).unwrap().into_iter().enumerate() {
            let mut text = String::new();
            members.put(row, &mut text).unwrap();
            assert_eq!(format!("{{{text}}}"), wanted);
        }
        assert!(members.has(0, "n") && !members.has(1, "n") && !members.has(0, "m"));
    }
}

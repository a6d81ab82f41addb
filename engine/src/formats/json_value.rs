//! The text of a JSON value, without building a tree.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// What a cell takes from a JSON value: the text of a string, a number as it is written, `true` or
/// `false`; `None` for null. Objects and arrays are no text.
pub(super) fn text_of(raw: &str) -> Result<Option<Cow<'_, str>>, String> {
    match raw.as_bytes().first() {
        Some(b'"') => unquote(raw).map(Some),
        Some(b'n') => Ok(None),
        Some(b'{') => Err("is an object, wanted text or a number".into()),
        Some(b'[') => Err("is an array, wanted text or a number".into()),
        _ => Ok(Some(Cow::Borrowed(raw))),
    }
}

/// The text of a JSON string that is known to be one.
pub(super) fn unquote(raw: &str) -> Result<Cow<'_, str>, String> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let text: String = serde_json::from_str(raw).map_err(|error| reason(&error))?;
    Ok(Cow::Owned(text))
}

/// Why a line is not JSON, in the words of a person who sees only this line.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    format!("not valid JSON: {}", text.replace(" at line 1 column ", " at column "))
}

/// Visits the entries of one JSON object in order, keys and values as they are written.
pub(super) fn for_each_entry<'a>(
    line: &'a str,
    mut visit: impl FnMut(&'a str, &'a str) -> Result<(), String>,
) -> Result<(), String> {
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let visitor = EntryVisitor { visit: &mut visit, refusal: &mut refusal };
    let read = deserializer.deserialize_map(visitor).and_then(|()| deserializer.end());
    match (refusal, read) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(shape_reason(line, &error)),
        (None, Ok(())) => Ok(()),
    }
}

fn shape_reason(line: &str, error: &serde_json::Error) -> String {
    if error.is_data() && !line.trim_start().starts_with('{') {
        return "not a JSON object; wanted one object on each line".into();
    }
    reason(error)
}

struct EntryVisitor<'v, V> {
    visit: &'v mut V,
    /// A refusal by the caller: kept apart, because an error of serde would lose its words.
    refusal: &'v mut Option<String>,
}

impl<'de, V> Visitor<'de> for EntryVisitor<'_, V>
where
    V: FnMut(&'de str, &'de str) -> Result<(), String>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            if self.refusal.is_none() {
                *self.refusal = (self.visit)(key.get(), value.get()).err();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_as_it_was_meant() {
        assert_eq!(text_of(r#""a""#).unwrap().unwrap(), "a");
        assert_eq!(text_of(r#""a\"\u00e9""#).unwrap().unwrap(), "a\"é");
        assert_eq!(text_of("1.50").unwrap().unwrap(), "1.50");
        assert_eq!(text_of("true").unwrap().unwrap(), "true");
        assert_eq!(text_of("null").unwrap(), None);
        assert!(text_of("{}").is_err());
        assert!(text_of("[1]").is_err());
        assert!(text_of(r#""\ud800""#).is_err());
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_reason() {
        let refusal = |line| for_each_entry(line, |_, _| Ok(())).unwrap_err();
        assert!(refusal("[1]").contains("not a JSON object"));
        assert!(refusal("7").contains("not a JSON object"));
        assert!(refusal(r#"{"a":1"#).contains("not valid JSON"));
        assert!(refusal(r#"{"a":1} x"#).contains("not valid JSON"));
        assert!(refusal(r#"{"a":}"#).contains("column"));
    }

    #[test]
    fn the_callers_refusal_keeps_its_words() {
        let refusal = for_each_entry(r#"{"a":1,"b":2}"#, |_, _| Err("no".into()));
        assert_eq!(refusal, Err("no".into()));
    }
}

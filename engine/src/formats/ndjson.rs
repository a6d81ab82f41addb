//! NDJSON in Habitué's own shape: one event per line, keys named as the columns of `events`.
//!
//! Keys that are no column become properties, beside those of a `properties` object. A line without
//! `event` that has a `traits` object says what is known of a person.

use super::event_row::{EventColumns, EventRow};
use super::json_value::{for_each_entry, text_of, unquote};
use super::line_parser::EventLine;
use habitue_storage::event::special;
use std::borrow::Cow;

/// The format; holds the columns of the database's namespaces.
#[derive(Debug)]
pub(super) struct Ndjson {
    columns: EventColumns,
    /// Column names as they stand in JSON, in quotes: keys are compared without unquoting.
    quoted_names: Vec<String>,
    event: usize,
}

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Column(usize),
    Properties,
    Traits,
    Unknown,
}

/// What the keys of the line before meant, by place: most files repeat one order of keys.
#[derive(Debug, Default)]
pub(super) struct KeyOrder<'a>(Vec<(&'a str, Meaning)>);

/// What of a line becomes properties.
#[derive(Debug, Default)]
struct Rest<'a> {
    properties: Option<&'a str>,
    traits: Option<(&'a str, &'a str)>,
    unknown: Vec<(&'a str, &'a str)>,
}

impl Ndjson {
    /// The format for these namespaces.
    pub fn new(namespaces: &[String]) -> Self {
        let columns = EventColumns::new(namespaces);
        let quoted = |name: &String| serde_json::Value::from(name.as_str()).to_string();
        let names = columns.schema().fields().iter().map(|field| quoted(field.name())).collect();
        let event = columns.place("event").unwrap_or_default();
        Self { columns, quoted_names: names, event }
    }

    fn meaning(&self, key: &str) -> Result<Meaning, String> {
        if key.contains('\\') {
            let plain = serde_json::Value::from(unquote(key)?.as_ref()).to_string();
            return if plain == key { Ok(Meaning::Unknown) } else { self.meaning(&plain) };
        }
        Ok(match self.quoted_names.iter().position(|name| name == key) {
            Some(place) if place == self.columns.properties() => Meaning::Properties,
            Some(place) => Meaning::Column(place),
            None if key == r#""traits""# => Meaning::Traits,
            None => Meaning::Unknown,
        })
    }

    fn fill<'a>(
        &self,
        place: usize,
        key: &str,
        value: &'a str,
        row: &mut EventRow<'a>,
    ) -> Result<(), String> {
        let text = text_of(value).map_err(|problem| format!("{key} {problem}"))?;
        if row.cells[place].is_some() {
            return Err(format!("{key} stands twice"));
        }
        row.cells[place] = text;
        Ok(())
    }
}

impl EventLine for Ndjson {
    type Memory<'a> = KeyOrder<'a>;

    fn columns(&self) -> &EventColumns {
        &self.columns
    }

    fn parse<'a>(
        &self,
        line: &'a str,
        order: &mut KeyOrder<'a>,
        row: &mut EventRow<'a>,
    ) -> Result<(), String> {
        let mut rest = Rest::default();
        let mut place = 0;
        for_each_entry(line, |key, value| {
            let meaning = order.meaning(place, key, |key| self.meaning(key))?;
            place += 1;
            match meaning {
                Meaning::Column(column) => self.fill(column, key, value, row)?,
                Meaning::Properties if rest.properties.is_some() => {
                    return Err(format!("{key} stands twice"));
                }
                Meaning::Properties => rest.properties = object(key, value)?,
                Meaning::Traits if value.starts_with('{') && rest.traits.is_none() => {
                    rest.traits = Some((key, value));
                }
                Meaning::Traits | Meaning::Unknown => rest.unknown.push((key, value)),
            }
            Ok(())
        })?;
        if let Some((key, traits)) = rest.traits.take() {
            if row.cells[self.event].is_none() && rest.properties.is_none() {
                row.cells[self.event] = Some(Cow::Borrowed(special::IDENTIFY));
                rest.properties = Some(traits);
            } else {
                rest.unknown.push((key, traits));
            }
        }
        row.cells[self.columns.properties()] = rest.into_object()?;
        Ok(())
    }
}

impl<'a> KeyOrder<'a> {
    fn meaning(
        &mut self,
        place: usize,
        key: &'a str,
        find: impl Fn(&str) -> Result<Meaning, String>,
    ) -> Result<Meaning, String> {
        match self.0.get(place) {
            Some((known, meaning)) if *known == key => return Ok(*meaning),
            _ => {}
        }
        let meaning = find(key)?;
        self.0.truncate(place);
        // A line with very many keys is not worth remembering.
        if self.0.len() == place && place < 64 {
            self.0.push((key, meaning));
        }
        Ok(meaning)
    }
}

impl<'a> Rest<'a> {
    fn into_object(self) -> Result<Option<Cow<'a, str>>, String> {
        if self.unknown.is_empty() {
            return Ok(self.properties.map(Cow::Borrowed));
        }
        if let Some(properties) = self.properties {
            for_each_entry(properties, |key, _| {
                let twice = self.unknown.iter().any(|(unknown, _)| *unknown == key);
                if twice {
                    Err(format!("{key} stands in the line and in properties"))
                } else {
                    Ok(())
                }
            })?;
        }
        Ok(Some(Cow::Owned(extended(self.properties, &self.unknown))))
    }
}

/// A JSON object with further entries behind its own; all of them as they are written.
pub(super) fn extended(object: Option<&str>, entries: &[(&str, &str)]) -> String {
    let own = object.map_or("{", str::trim_end);
    let own = own.strip_suffix('}').unwrap_or(own);
    let bytes: usize = entries.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let mut text = String::with_capacity(own.len() + bytes + 1);
    text.push_str(own);
    let mut empty = own.trim_end().ends_with('{');
    for (key, value) in entries {
        if !std::mem::take(&mut empty) {
            text.push(',');
        }
        text.push_str(key);
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

/// An object's text; `None` for null.
fn object<'a>(key: &str, value: &'a str) -> Result<Option<&'a str>, String> {
    match value.as_bytes().first() {
        Some(b'{') => Ok(Some(value)),
        Some(b'n') => Ok(None),
        _ => Err(format!("{key} is not an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::LineBlock;
    use super::super::line_parser::parse_events;
    use super::*;
    use arrow::array::{Array, AsArray};

    /// The named cell of the only line, or the reason of its rejection.
    fn cell(line: &str, name: &str) -> Result<Option<String>, String> {
        let format = Ndjson::new(&["user_id".into(), "anonymous_id".into()]);
        let text = line.as_bytes().to_vec();
        let block = LineBlock { first_line: 1, text, overlong: None };
        let block = parse_events(&format, block).unwrap();
        if let Some(reject) = block.rejects.first() {
            assert_eq!(reject.raw, line);
            return Err(reject.reason.clone());
        }
        let batch = block.batch.unwrap();
        let column = batch.column_by_name(name).unwrap().as_string::<i32>();
        Ok((!column.is_null(0)).then(|| column.value(0).to_owned()))
    }

    #[test]
    fn keys_that_are_no_column_become_properties() {
        let text = |line| cell(line, "properties").unwrap();
        assert_eq!(text(r#"{"ts":1,"event":"e"}"#), None);
        assert_eq!(
            text(r#"{"ts":1,"x":1.50,"y":{"a":[]}}"#).unwrap(),
            r#"{"x":1.50,"y":{"a":[]}}"#
        );
        assert_eq!(text(r#"{"x":1,"properties":{"y":2}}"#).unwrap(), r#"{"y":2,"x":1}"#);
        assert_eq!(text(r#"{"x":1,"properties":{ }}"#).unwrap(), r#"{ "x":1}"#);
        assert_eq!(
            text(r#"{"x":{"a":{}},"properties":{"y":{}} }"#).unwrap(),
            r#"{"y":{},"x":{"a":{}}}"#
        );
        assert_eq!(text(r#"{"properties":null}"#), None);
    }

    #[test]
    fn cells_are_the_text_of_their_values() {
        assert_eq!(cell(r#"{"amount":12.50}"#, "amount").unwrap().unwrap(), "12.50");
        assert_eq!(cell(r#"{"user_id":42}"#, "user_id").unwrap().unwrap(), "42");
        assert_eq!(cell(r#"{"user_id":null}"#, "user_id").unwrap(), None);
        assert_eq!(cell(r#"{"\u0065vent":"a\tb"}"#, "event").unwrap().unwrap(), "a\tb");
        assert_eq!(cell(r#"{"\u0078":1}"#, "properties").unwrap().unwrap(), r#"{"\u0078":1}"#);
    }

    #[test]
    fn traits_without_an_event_say_what_is_known_of_a_person() {
        let line = r#"{"ts":1,"user_id":"u","traits":{"plan":"pro"}}"#;
        assert_eq!(cell(line, "event").unwrap().unwrap(), "$identify");
        assert_eq!(cell(line, "properties").unwrap().unwrap(), r#"{"plan":"pro"}"#);
        let line = r#"{"event":"e","traits":{"plan":"pro"}}"#;
        assert_eq!(cell(line, "properties").unwrap().unwrap(), r#"{"traits":{"plan":"pro"}}"#);
    }

    #[test]
    fn what_would_be_dropped_is_rejected() {
        let reason = |line| cell(line, "ts").unwrap_err();
        assert_eq!(reason(r#"{"ts":1,"ts":2}"#), "\"ts\" stands twice");
        assert_eq!(
            reason(r#"{"x":1,"properties":{"x":2}}"#),
            "\"x\" stands in the line and in properties"
        );
        assert_eq!(reason(r#"{"properties":7}"#), "\"properties\" is not an object");
        assert_eq!(
            reason(r#"{"user_id":{"a":1}}"#),
            "\"user_id\" is an object, wanted text or a number"
        );
        assert!(reason(r#"{"ts":1"#).starts_with("not valid JSON: EOF"));
    }

    #[test]
    fn lines_whose_keys_stand_in_another_order_are_read_alike() {
        let format = Ndjson::new(&[]);
        let text = "{\"ts\":1,\"event\":\"a\"}\n{\"event\":\"b\",\"ts\":2}\n{\"x\":1,\"ts\":3,\"event\":\"c\"}\n";
        let block = LineBlock { first_line: 1, text: text.into(), overlong: None };
        let batch = parse_events(&format, block).unwrap().batch.unwrap();
        let texts = |name| {
            let column = batch.column_by_name(name).unwrap().as_string::<i32>().clone();
            column.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("ts"), ["1", "2", "3"]);
        assert_eq!(texts("event"), ["a", "b", "c"]);
    }
}

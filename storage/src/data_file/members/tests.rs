//! Texts are taken apart and come back as they were.

use super::*;
use crate::error::Error;
use arrow::array::{Array, AsArray, StringArray};
use proptest::prelude::*;

fn texts(values: &[&str]) -> StringArray {
    StringArray::from_iter_values(values)
}

fn columns(members: &Members) -> Vec<String> {
    members.iter().map(Member::column).collect()
}

/// Split, as it goes through a file, and joined again.
fn there_and_back(members: &Members, texts: &StringArray) -> StringArray {
    let split = members.split(texts);
    let columns = split.columns.iter().map(|column| column.as_string::<i32>().clone());
    members.join(split.whole.as_string(), &columns.collect::<Vec<_>>()).unwrap()
}

#[test]
fn members_stand_in_the_order_of_the_texts() {
    let members = Members::for_texts(&texts(&[
        r#"{"a":"x","c":1}"#,
        r#"{"a":"y","b":{"deep":[1,"}"]},"c":null}"#,
        r#"{"b":"text","c":2}"#,
    ]));
    let members = members.unwrap();
    let wanted = ["properties->>'a'", "properties->>'b'", "properties->'b'", "properties->'c'"];
    assert_eq!(columns(&members), wanted);
}

#[test]
fn a_schema_tells_the_members_of_its_file() {
    for text in [r#"{"a":"x","n":1}"#, r#"{"a": "x", "n": 1}"#] {
        let members = Members::for_texts(&texts(&[text])).unwrap();
        let metadata = [members.metadata()].into();
        let fields = members.fields().collect::<Vec<_>>();
        assert_eq!(Members::of(&Schema::new_with_metadata(fields, metadata)), Some(members));
    }
    // Files that lie in a bucket say it in these words.
    for (text, word) in [(r#"{"a":1}"#, "compact"), (r#"{"a": 1}"#, "spaced")] {
        let (key, spacing) = Members::for_texts(&texts(&[text])).unwrap().metadata();
        assert_eq!((key.as_str(), spacing.as_str()), ("habitue.properties", word));
    }
    assert_eq!(Members::of(&crate::event::file_schema(["user_id"])), None);
}

#[test]
fn values_stand_in_the_columns() {
    let members = Members::for_texts(&texts(&[r#"{"a": "x", "n": 1}"#])).unwrap();
    let split = members.split(&texts(&[r#"{"a": "", "n": 1.50}"#, r#"{"n": [1, 2]}"#]));
    assert_eq!(split.whole.null_count(), 2);
    let column = |place: usize| split.columns[place].as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(column(0), [Some(""), None]);
    assert_eq!(column(1), [Some("1.50"), Some("[1, 2]")]);
}

// If this fails, `->>` takes one of two values of a name, and after a compaction the other one.
#[test]
fn what_the_columns_cannot_tell_stays_whole() {
    let members = Members::for_texts(&texts(&[r#"{"a":"x","b":1}"#, r#"{"a":2}"#])).unwrap();
    assert_eq!(columns(&members).len(), 3);
    let odd = [
        r#"{"a":"x","a":2}"#,
        r#"{"a":"x","a":"y"}"#,
        r#"{"b":1,"a":"x"}"#,
        r#"{"a":"x", "b":1}"#,
        r#"{"a":"x","b":1} "#,
        r#"{"b":1 }"#,
        r#"{"b": 1}"#,
        r#" {"a":"x"}"#,
        r#"{"a":"x","c":1}"#,
        r#"{"\u0061":"x"}"#,
        "{}",
        "",
        "{",
        r#"{"a":"#,
        r#"{"a":"x"#,
        r#"{"a":}"#,
    ];
    let split = members.split(&texts(&odd));
    assert_eq!(split.whole.as_string::<i32>(), &texts(&odd));
    // Escapes are no plain text, but JSON.
    let split = members.split(&texts(&[r#"{"a":"q\"\\"}"#]));
    assert_eq!(split.columns[1].as_string::<i32>().value(0), r#""q\"\\""#);
}

#[test]
fn texts_of_many_shapes_and_names_get_no_columns() {
    let shapes = (0..1000).map(|row| format!(r#"{{"mail{row}@example.org":1}}"#));
    let shapes = shapes.collect::<Vec<_>>();
    assert_eq!(Members::for_texts(&StringArray::from_iter_values(&shapes)), None);
    assert_eq!(Members::for_texts(&texts(&["{}", "[1]", "x"])), None);
    assert_eq!(Members::for_texts(&StringArray::new_null(3)), None);
    // `->> 'a'` would look for another column.
    assert_eq!(Members::for_texts(&texts(&[r#"{"\u0061":1}"#])), None);
    // A rare name gets none beside common ones.
    let rare = (0..1000).map(|row| match row {
        7 => r#"{"a":1,"anna@example.org":1}"#,
        _ => r#"{"a":1}"#,
    });
    let members = Members::for_texts(&StringArray::from_iter_values(rare)).unwrap();
    assert_eq!(columns(&members), ["properties->'a'"]);
    // Of many common names, the most common ones get some.
    let many = (0..400).map(|row| {
        let members = (0..=row % 40).map(|name| format!("\"n{name}\":1"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    });
    let members = Members::for_texts(&StringArray::from_iter_values(many)).unwrap();
    let wanted = (0..32).map(|name| format!("properties->'n{name}'"));
    assert_eq!(columns(&members), wanted.collect::<Vec<_>>());
}

// If this fails, who reads many large texts at once hears that their properties are wrong.
#[test]
fn texts_that_no_array_can_hold_are_too_many_for_one_batch() {
    let column = text_column(&"x".repeat(1 << 20));
    let members =
        Members::of(&Schema::new(vec![Field::new(column, DataType::Utf8, true)])).unwrap();
    let join = |rows: usize| {
        let present = StringArray::from(vec![""; rows]);
        members.join(&StringArray::new_null(rows), &[present])
    };
    assert_eq!(join(1).unwrap().len(), 1);
    let error = join(1 << 11).unwrap_err();
    assert!(matches!(error, Error::Exhausted { limit: 0x7fff_ffff, .. }), "{error}");
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zü ,:{}]{0,6}".prop_map(|text| format!("\"{text}\"")),
        Just(r#""q\"u\\o""#.to_owned()),
        (-50_i32..50).prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        Just(r#"{"x":[1,{"y":"}]\""}],"a":"b"}"#.to_owned()),
        Just("[]".to_owned()),
    ]
}

fn object() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("a b"), Just("ä")];
    let spacing =
        prop_oneof![4 => Just((":", ",")), 1 => Just((": ", ", ")), 1 => Just((" :", ","))];
    (proptest::collection::vec((name, value()), 0..5), spacing).prop_map(|(members, spaces)| {
        let members = members.iter().map(|(name, value)| format!("\"{name}\"{}{value}", spaces.0));
        format!("{{{}}}", members.collect::<Vec<_>>().join(spaces.1))
    })
}

proptest! {
    // If this fails, properties come out of a compaction otherwise than they came in.
    #[test]
    fn texts_come_back_as_they_were(
        rows in proptest::collection::vec(
            proptest::option::weighted(0.9, prop_oneof![6 => object(), 1 => "[{}\":,ab\\\\ ]{0,12}"]),
            1..40,
        )
    ) {
        let texts = StringArray::from(rows);
        if let Some(members) = Members::for_texts(&texts) {
            prop_assert_eq!(&there_and_back(&members, &texts), &texts);
            let sliced = texts.slice(texts.len() / 2, texts.len() - texts.len() / 2);
            prop_assert_eq!(&there_and_back(&members, &sliced), &sliced);
        }
    }
}

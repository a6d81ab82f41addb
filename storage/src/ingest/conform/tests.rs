//! Batches of odd shapes, and what becomes of them.

use super::*;
use arrow::array::{DictionaryArray, Float64Array, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Decimal128Type, Int8Type};

fn conformer() -> Conformer {
    Conformer::new(&Catalog::default(), DateTime::from_timestamp_micros(77).unwrap())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn a_bad_row_is_rejected_alone_with_its_reason_and_itself() {
    let batch = batch(vec![
        ("ts", text(&[Some("2025-01-31"), Some("soon"), Some("2025-01-31"), None])),
        ("event", text(&[Some("a"), Some("b"), Some(" "), Some("d")])),
        ("amount", text(&[Some("1.5"), Some("x"), None, None])),
    ]);
    let conformed = conformer().conform(&batch, 10).unwrap();
    assert_eq!(conformed.events.num_rows(), 1);
    let rows: Vec<u64> = conformed.rejected.iter().map(|rejected| rejected.row).collect();
    assert_eq!(rows, [11, 12, 13]);
    assert!(conformed.rejected[0].reason.contains("'soon' is not a time"));
    assert_eq!(conformed.rejected[0].raw, r#"{"ts":"soon","event":"b","amount":"x"}"#);
    assert_eq!(conformed.rejected[1].reason, "event is missing");
    assert_eq!(conformed.rejected[2].reason, "ts is missing");
}

#[test]
fn types_of_every_kind_are_taken() {
    let events: DictionaryArray<Int8Type> = vec!["a", "b", "a"].into_iter().collect();
    let batch = batch(vec![
        ("ts", Arc::new(Int64Array::from(vec![1_738_324_800, 1_738_324_801, 1_738_324_802]))),
        ("event", Arc::new(events)),
        ("user_id", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]))),
        ("email", Arc::new(StringViewArray::from(vec![Some("a@x"), None, None]))),
        ("amount", Arc::new(Float64Array::from(vec![Some(0.1), None, None]))),
        ("colour", text(&[Some("red"), None, None])),
    ]);
    let conformed = conformer().conform(&batch, 0).unwrap();
    assert!(conformed.rejected.is_empty());
    let events = conformed.events;
    assert_eq!(events.column_by_name("user_id").unwrap().as_string::<i32>().value(2), "3");
    assert_eq!(events.column_by_name("email").unwrap().data_type(), &DataType::Utf8);
    let amounts = events.column_by_name("amount").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!(amounts.value(0), 1_000);
    let properties = events.column_by_name("properties").unwrap().as_string::<i32>();
    assert_eq!(properties.value(0), r#"{"colour":"red"}"#);
    assert!(properties.is_null(1));
}

#[test]
fn a_computed_column_is_refused_with_the_right_name() {
    let ts = || text(&[Some("2025-01-31")]);
    let computed = batch(vec![("ts", ts()), ("event", ts()), ("customer_id", ts())]);
    let error = conformer().conform(&computed, 0).unwrap_err().to_string();
    assert!(error.contains("user_id"), "{error}");
    let nameless = batch(vec![("ts", ts())]);
    let error = conformer().conform(&nameless, 0).unwrap_err().to_string();
    assert!(error.contains("\"event\" is missing"), "{error}");
}

// If this fails, one strange property stops a night's batch.
#[test]
fn a_property_may_change_its_type() {
    let properties = [Some(r#"{"a":1}"#), Some(r#"{"a":"one"}"#), Some(r#"{"a":{"b":[1]}}"#)];
    let batch = batch(vec![
        ("ts", text(&[Some("2025-01-31"); 3])),
        ("event", text(&[Some("e"); 3])),
        ("properties", text(&properties)),
    ]);
    let conformed = conformer().conform(&batch, 0).unwrap();
    assert_eq!(conformed.events.num_rows(), 3);
    let kept = conformed.events.column_by_name("properties").unwrap().as_string::<i32>();
    assert_eq!(kept.iter().collect::<Vec<_>>(), properties);
}

#[test]
fn nothing_in_gives_nothing_out() {
    let empty = batch(vec![("ts", text(&[])), ("event", text(&[]))]);
    let conformed = conformer().conform(&empty, 0).unwrap();
    assert_eq!(conformed.events.num_rows(), 0);
    assert!(conformed.rejected.is_empty());
}

// If this fails, a file with an identifier column that nobody filled is rejected row by row.
#[test]
fn a_column_without_any_value_is_null() {
    let nothing = || -> ArrayRef { Arc::new(arrow::array::NullArray::new(1)) };
    let batch = batch(vec![
        ("ts", text(&[Some("2025-01-31")])),
        ("event", text(&[Some("a")])),
        ("email", nothing()),
        ("amount", nothing()),
        ("channel", nothing()),
        ("colour", nothing()),
    ]);
    let conformed = conformer().conform(&batch, 0).unwrap();
    assert_eq!((conformed.events.num_rows(), conformed.rejected.len()), (1, 0));
    for name in ["email", "amount", "channel", "properties"] {
        assert_eq!(conformed.events.column_by_name(name).unwrap().null_count(), 1, "{name}");
    }
}

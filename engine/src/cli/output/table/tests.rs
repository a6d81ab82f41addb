//! Tables as they look on a terminal.

use super::*;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use std::sync::Arc;

fn draw(batches: &[RecordBatch], layout: Layout) -> String {
    let mut out = Vec::new();
    let mut table = TableWriter::new(&batches[0].schema(), layout);
    for batch in batches {
        table.write(batch, &mut out).unwrap();
    }
    table.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn people() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(12_345), None]));
    let names: ArrayRef =
        Arc::new(StringArray::from(vec![Some("Ada"), None, Some("東京 Tomoko Tanaka")]));
    let rates: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.0, 12.25]));
    RecordBatch::try_from_iter([("customer_id", ids), ("name", names), ("rate", rates)]).unwrap()
}

#[test]
fn numbers_stand_right_and_missing_values_are_visible() {
    let drawn = draw(&[people()], Layout::FILE);
    let expected = "\
┌─────────────┬────────────────────┬───────┐
│ customer_id │ name               │  rate │
├─────────────┼────────────────────┼───────┤
│           7 │ Ada                │   0.5 │
│       12345 │ NULL               │   1.0 │
│        NULL │ 東京 Tomoko Tanaka │ 12.25 │
└─────────────┴────────────────────┴───────┘
";
    assert_eq!(drawn, expected);
}

#[test]
fn wide_cells_are_cut_to_the_terminal() {
    let drawn = draw(&[people()], Layout { width: Some(38), ..Layout::FILE });
    let expected = "\
┌─────────────┬──────────────┬───────┐
│ customer_id │ name         │  rate │
├─────────────┼──────────────┼───────┤
│           7 │ Ada          │   0.5 │
│       12345 │ NULL         │   1.0 │
│        NULL │ 東京 Tomoko… │ 12.25 │
└─────────────┴──────────────┴───────┘
";
    assert_eq!(drawn, expected);
}

#[test]
fn long_tables_are_shortened_and_say_by_how_much() {
    let layout = Layout { rows: RowLimit::First(2), ..Layout::FILE };
    let drawn = draw(&[people(), people()], layout);
    assert!(drawn.ends_with("… 4 more rows (.rows all shows every row)\n"), "{drawn}");
    assert_eq!(drawn.lines().count(), 7, "{drawn}");
}

#[test]
fn hidden_columns_are_named() {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["something long enough"]));
    let columns = (0..9).map(|place| (format!("column_{place}"), column.clone()));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let drawn = draw(&[batch], Layout { width: Some(60), ..Layout::FILE });
    assert!(drawn.contains(" … │"), "{drawn}");
    assert!(drawn.contains("more columns: column_"), "{drawn}");
    let table: Vec<_> = drawn.lines().filter(|line| !line.starts_with('…')).collect();
    assert!(table.iter().all(|line| width(line) == width(table[0])), "{drawn}");
    assert!(width(table[0]) <= 60, "{drawn}");
}

#[test]
fn an_answer_without_rows_has_its_head() {
    let empty = people().slice(0, 0);
    assert_eq!(draw(&[empty], Layout::FILE).lines().count(), 4);
}

#[test]
fn only_a_terminal_gets_colours() {
    let plain = draw(&[people()], Layout::FILE);
    let coloured = draw(&[people()], Layout { paint: Paint::Coloured, ..Layout::FILE });
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains("\u{1b}[2mNULL"), "{coloured}");
}

// If this fails, `habitue sql -c … > file` of a large table holds all of it in memory.
#[test]
fn a_long_table_for_a_file_is_drawn_as_it_comes() {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8_000));
    let batch = RecordBatch::try_from_iter([("x", values)]).unwrap();
    let mut table = TableWriter::new(&batch.schema(), Layout::FILE);
    let mut out = Vec::new();
    for _ in 0..3 {
        table.write(&batch, &mut out).unwrap();
    }
    assert!(table.waiting.len() <= ROWS_MEASURED);
    table.finish(&mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 24_000 + 4);
}

//! One value as text that is safe on a terminal, and text cut to a width.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// How a missing value is shown.
pub(crate) const NULL: &str = "NULL";
/// What stands where text was cut.
pub(crate) const CUT: &str = "…";

/// The side on which a column's values line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text and everything else.
    Left,
    /// Numbers.
    Right,
}

impl Align {
    /// The side for this type.
    pub(crate) fn of(data_type: &DataType) -> Self {
        if data_type.is_numeric() { Self::Right } else { Self::Left }
    }
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// No value.
    Null,
    /// A value as text on one line.
    Text(String),
}

impl Cell {
    /// What is printed.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Null => NULL,
            Self::Text(text) => text,
        }
    }
}

/// Formats the values of one column.
pub(crate) struct Column<'a> {
    formatter: ArrayFormatter<'a>,
    nulls: Option<NullBuffer>,
}

impl<'a> Column<'a> {
    /// The columns of a batch.
    pub(crate) fn all(batch: &'a RecordBatch) -> Result<Vec<Self>, ArrowError> {
        batch.columns().iter().map(Self::new).collect()
    }

    fn new(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let options = options(array.data_type());
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
        // A dictionary's missing values may hide in its values.
        Ok(Self { formatter, nulls: array.logical_nulls() })
    }

    /// The value of a row.
    pub(crate) fn cell(&self, row: usize) -> Result<Cell, ArrowError> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(Cell::Null);
        }
        Ok(Cell::Text(printable(self.formatter.value(row).try_to_string()?)))
    }
}

fn options(data_type: &DataType) -> FormatOptions<'static> {
    const PLAIN: Option<&str> = Some("%Y-%m-%d %H:%M:%S%.f");
    const ZONED: Option<&str> = Some("%Y-%m-%d %H:%M:%S%.f%:z");
    let is_utc = matches!(
        data_type,
        DataType::Timestamp(_, Some(zone)) if ["UTC", "+00:00", "Z"].contains(&zone.as_ref())
    );
    FormatOptions::new()
        .with_null(NULL)
        .with_timestamp_format(PLAIN)
        .with_timestamp_tz_format(if is_utc { PLAIN } else { ZONED })
}

/// The text without characters that would move the cursor, break the line or turn the reading
/// direction around: values come from outside.
pub(crate) fn printable(text: String) -> String {
    if !text.chars().any(is_dangerous) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            letter if is_dangerous(letter) => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(letter));
            }
            letter => safe.push(letter),
        }
    }
    safe
}

fn is_dangerous(letter: char) -> bool {
    let turns_direction = matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns_direction
}

/// How many places of a terminal the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in exactly this many places: padded, or cut with `…` at the end.
pub(crate) fn fitted(text: &str, places: usize, align: Align) -> String {
    let natural = width(text);
    if natural <= places {
        let padding = " ".repeat(places - natural);
        return match align {
            Align::Left => format!("{text}{padding}"),
            Align::Right => format!("{padding}{text}"),
        };
    }
    let room = places.saturating_sub(width(CUT));
    let mut cut = String::new();
    for letter in text.chars() {
        cut.push(letter);
        // Letters can join into one sign, so the width is that of the whole.
        if width(&cut) > room {
            cut.pop();
            break;
        }
    }
    // A wide letter that did not fit leaves one place open.
    let open = places.saturating_sub(width(&cut) + width(CUT));
    format!("{cut}{CUT}{}", " ".repeat(open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int32Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn cell(array: ArrayRef, row: usize) -> Cell {
        let batch = RecordBatch::try_from_iter([("x", array)]).unwrap();
        Column::all(&batch).unwrap()[0].cell(row).unwrap()
    }

    #[test]
    fn cut_text_has_the_asked_width_whatever_the_letters() {
        for text in ["plain words", "東京都港区", "Zoë 東 e\u{301}", "👩‍👩‍👧 family"]
        {
            for places in 1..=14 {
                let fitted = fitted(text, places, Align::Left);
                assert_eq!(width(&fitted), places, "{fitted:?}");
            }
        }
    }

    #[test]
    fn numbers_are_padded_on_the_left() {
        assert_eq!(fitted("42", 5, Align::Right), "   42");
        assert_eq!(fitted("42", 5, Align::Left), "42   ");
    }

    // If this fails, a value from outside can rewrite the screen of whoever looks at it.
    #[test]
    fn control_characters_are_shown_and_never_sent() {
        let text = StringArray::from(vec!["a\u{1b}[2Jb\nc\u{202e}d"]);
        let shown = cell(Arc::new(text), 0);
        assert_eq!(shown, Cell::Text("a\\u{1b}[2Jb\\nc\\u{202e}d".into()));
    }

    #[test]
    fn missing_values_are_seen_also_inside_dictionaries() {
        let values = StringArray::from(vec![Some("x"), None]);
        let keys = Int32Array::from(vec![0, 1]);
        let labels = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
        assert_eq!(cell(labels.clone(), 0), Cell::Text("x".into()));
        assert_eq!(cell(labels, 1), Cell::Null);
    }

    #[test]
    fn utc_times_are_short_and_other_zones_say_so() {
        let utc = TimestampMicrosecondArray::from(vec![1_735_689_600_500_000]).with_timezone("UTC");
        assert_eq!(cell(Arc::new(utc), 0).text(), "2025-01-01 00:00:00.500");
        let plus = TimestampMicrosecondArray::from(vec![0]).with_timezone("+02:00");
        assert_eq!(cell(Arc::new(plus), 0).text(), "1970-01-01 02:00:00+02:00");
    }
}

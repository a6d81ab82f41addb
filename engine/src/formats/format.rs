//! The formats of input, and how they are told apart.

use super::json_value::{for_each_entry, unquote};
use super::segment_spec::CALLS;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How the events of an input are written. Compression (gzip, zstd) is found by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object per line, keys named as the columns of `events`.
    Ndjson,
    /// One call of the Segment spec per line: track, identify, page, screen, group, alias.
    Segment,
    /// Values separated by commas, semicolons, tabs or bars; the first line names the columns.
    Csv,
    /// Any lines of text: a table with the columns `line_number` and `line`, for a SELECT.
    Lines,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file or stream.
    Arrow,
}

/// Every format with its name and the file extensions that mean it.
const NAMES: [(Format, &str, &[&str]); 6] = [
    (Format::Ndjson, "ndjson", &["ndjson", "jsonl", "json"]),
    (Format::Segment, "segment", &[]),
    (Format::Csv, "csv", &["csv", "tsv", "tab", "psv"]),
    (Format::Lines, "lines", &["txt", "log"]),
    (Format::Parquet, "parquet", &["parquet", "pq"]),
    (Format::Arrow, "arrow", &["arrow", "arrows", "ipc", "feather"]),
];

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(format, ..)| format)
    }

    /// Its name, as `--format` takes it.
    ///
    /// ```
    /// use habitue::Format;
    /// assert_eq!(Format::Ndjson.name(), "ndjson");
    /// assert_eq!("ndjson".parse(), Ok(Format::Ndjson));
    /// ```
    pub fn name(self) -> &'static str {
        NAMES.into_iter().find(|(format, ..)| *format == self).map_or("", |(_, name, _)| name)
    }

    /// Tells the format by the name of the input and its first bytes, already decompressed.
    /// What the bytes say for certain counts more than the name.
    pub(super) fn detect(name: &str, head: &[u8]) -> Result<Self, String> {
        if head.starts_with(b"PAR1") {
            return Ok(Self::Parquet);
        }
        if head.starts_with(b"ARROW1") || head.starts_with(&[0xff; 4]) {
            return Ok(Self::Arrow);
        }
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('{') {
            return Ok(Self::json_shape(text));
        }
        if let Some(format) = Self::from_extension(name) {
            return Self::check_extension(format, text);
        }
        let first_line = text.lines().next().unwrap_or_default();
        if delimiter_of(first_line).is_some() {
            return Ok(Self::Csv);
        }
        Err(format!("the format is not clear; say --format {}", Self::list()))
    }

    /// The names of all formats, for messages.
    pub(crate) fn list() -> String {
        NAMES.map(|(_, name, _)| name).join(" | ")
    }

    fn from_extension(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = [".gz", ".zst", ".zstd"].into_iter().find_map(|end| lower.strip_suffix(end));
        let extension = Path::new(bare.unwrap_or(&lower)).extension()?.to_str()?;
        let known = |(_, _, extensions): &(Self, &str, &[&str])| extensions.contains(&extension);
        NAMES.into_iter().find(known).map(|(format, ..)| format)
    }

    /// An extension may lie; an empty file is an empty file of its extension.
    fn check_extension(format: Self, text: &str) -> Result<Self, String> {
        match format {
            Self::Ndjson if text.starts_with('[') => Err("a JSON array; wanted one object per \
                 line, for example from `jq -c '.[]' FILE`"
                .into()),
            Self::Parquet | Self::Arrow => {
                Err(format!("named as {} but the first bytes say otherwise", format.name()))
            }
            format => Ok(format),
        }
    }

    /// Whether the first object is a Segment call: a `type` that names one, and something that only
    /// such calls carry.
    fn json_shape(text: &str) -> Self {
        let first_line = text.lines().next().unwrap_or_default();
        let mut calls = false;
        let mut marks = false;
        // A line that is cut or broken says what it says up to there.
        let _ = for_each_entry(first_line, |key, value| {
            let marks_here = ["messageId", "anonymousId", "userId", "context", "originalTimestamp"];
            match unquote(key)?.as_ref() {
                "type" => calls |= CALLS.iter().any(|call| value == format!("\"{call}\"")),
                key => marks |= marks_here.contains(&key),
            }
            Ok(())
        });
        if calls && marks { Self::Segment } else { Self::Ndjson }
    }
}

/// The character that separates the names of a header line, the most frequent of the usual ones.
pub(super) fn delimiter_of(header: &str) -> Option<u8> {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += u32::from(byte == *delimiter && !quoted);
        }
    }
    // The first of equals wins, so a comma is the default among them.
    let (delimiter, count) = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
    (count > 0).then_some(delimiter)
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        NAMES
            .into_iter()
            .find(|(_, known, _)| known.eq_ignore_ascii_case(name))
            .map(|(format, ..)| format)
            .ok_or_else(|| format!("no format '{name}'; wanted {}", Self::list()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content_and_by_name() {
        let detect = |name: &str, head: &[u8]| Format::detect(name, head);
        assert_eq!(detect("x.csv", b"PAR1\0"), Ok(Format::Parquet));
        assert_eq!(detect("-", b"ARROW1\0\0"), Ok(Format::Arrow));
        assert_eq!(detect("-", &[0xff, 0xff, 0xff, 0xff, 8]), Ok(Format::Arrow));
        assert_eq!(detect("-", b"\n {\"ts\":1}\n"), Ok(Format::Ndjson));
        assert_eq!(detect("-", b"a,b\n1,2\n"), Ok(Format::Csv));
        assert_eq!(detect("x.txt", b"a,b\n1,2\n"), Ok(Format::Lines));
        assert_eq!(detect("x.TSV.gz", b"a\n"), Ok(Format::Csv));
        assert!(detect("x.parquet", b"a,b\n").is_err());
        assert!(detect("x.json", b"[{}]").unwrap_err().contains("JSON array"));
        assert!(detect("-", b"one two\n").unwrap_err().contains("--format"));
    }

    #[test]
    fn a_segment_call_is_told_from_an_event_that_has_a_type() {
        let call = br#"{"type":"track","event":"Signed Up","anonymousId":"a","timestamp":"2024"}"#;
        assert_eq!(Format::detect("x.json", call), Ok(Format::Segment));
        let event = br#"{"ts":"2024-01-01","event":"view","type":"page"}"#;
        assert_eq!(Format::detect("x.json", event), Ok(Format::Ndjson));
    }

    #[test]
    fn delimiters_inside_quotes_do_not_count() {
        assert_eq!(delimiter_of("a;b,c;d"), Some(b';'));
        assert_eq!(delimiter_of("\"a,b,c\"\td"), Some(b'\t'));
        assert_eq!(delimiter_of("a;b,c"), Some(b','));
        assert_eq!(delimiter_of("a b"), None);
    }
}

//! Tests of rows by their labels.

use crate::hot::{Codes, WantedCodes};
use crate::walk::files::LoadedFiles;
use crate::walk::runs::Run;
use std::sync::Arc;

/// A test of rows by the label of one column.
#[derive(Clone)]
pub(crate) struct RowTest {
    pub(crate) column: usize,
    /// By file: the codes that pass.
    wanted: Arc<Vec<WantedCodes>>,
}

impl RowTest {
    /// `passes` says for each file whether each code passes.
    pub(crate) fn new(column: usize, passes: Vec<Vec<bool>>) -> Self {
        let wanted = passes.into_iter().map(WantedCodes::new).collect();
        Self { column, wanted: Arc::new(wanted) }
    }

    /// The codes of a file, and those that pass.
    fn of<'a>(&'a self, files: &'a LoadedFiles, file: u32) -> Option<(&'a Codes, &'a WantedCodes)> {
        let column = files.column(self.column)[file as usize].as_deref()?;
        Some((column.labels()?.codes(), &self.wanted[file as usize]))
    }
}

/// Adds the rows that pass any of these tests. `passes` is room.
pub(crate) fn keep(
    runs: &[Run],
    tests: &[RowTest],
    files: &LoadedFiles,
    passes: &mut Vec<u8>,
    kept: &mut Vec<Run>,
) {
    for &run in runs {
        if let [test] = tests
            && let Some((Codes::Narrow(codes), WantedCodes::Only(only))) = test.of(files, run.file)
        {
            keep_only(run, &codes[run.range()], *only, kept);
            continue;
        }
        passes.clear();
        passes.resize(run.rows as usize, 0);
        for (codes, wanted) in tests.iter().filter_map(|test| test.of(files, run.file)) {
            codes.mark(run.range(), wanted, passes);
        }
        keep_marked(run, passes, kept);
    }
}

/// Adds the rows of one code, which is mostly rare.
fn keep_only(run: Run, codes: &[u8], only: u8, kept: &mut Vec<Run>) {
    for place in memchr::memchr_iter(only, codes) {
        let start = run.start + place as u32;
        match kept.last_mut() {
            Some(last) if last.file == run.file && last.start + last.rows == start => {
                last.rows += 1;
            }
            _ => kept.push(Run { start, rows: 1, ..run }),
        }
    }
}

/// Adds the rows that are marked by 1; the others are marked by 0.
fn keep_marked(run: Run, marks: &[u8], kept: &mut Vec<Run>) {
    let mut from = 0;
    while let Some(before) = memchr::memchr(1, &marks[from..]) {
        let first = from + before;
        let rows = memchr::memchr(0, &marks[first..]).unwrap_or(marks.len() - first);
        kept.push(Run { start: run.start + first as u32, rows: rows as u32, ..run });
        from = first + rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot::Labels;
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    fn labels(texts: impl Iterator<Item = u16>) -> Labels {
        let texts = texts.map(|number| (number > 0).then(|| number.to_string()));
        let texts = texts.collect::<Vec<_>>();
        let texts = texts.iter().map(Option::as_deref);
        let mut labels = Labels::default();
        labels.append(&texts.collect::<DictionaryArray<Int32Type>>()).unwrap();
        labels
    }

    proptest! {
        // If this fails, a filter drops rows or lets others through.
        #[test]
        fn marks_are_those_of_wanted_codes(
            numbers in prop::collection::vec(0..400_u16, 1..600),
            narrow in any::<bool>(),
            kind in 0..4_u8,
            modulus in 1..5_u16,
        ) {
            let number = |number: &u16| if narrow { number % 7 } else { *number };
            let labels = labels(numbers.iter().map(number));
            let is_wanted = |text: &Option<String>| {
                let number = text.as_ref().map_or(0, |text| text.parse::<u16>().unwrap());
                match kind {
                    0 => number == 3,
                    1 => number != 3,
                    2 => number.is_multiple_of(modulus),
                    _ => false,
                }
            };
            let wanted = labels.values().iter().map(is_wanted).collect::<Vec<_>>();
            let expected = numbers.iter().map(number).map(|number| {
                is_wanted(&(number > 0).then(|| number.to_string()))
            });
            let expected = expected.map(u8::from).collect::<Vec<_>>();
            let mut marks = vec![0; numbers.len()];
            let codes = labels.codes();
            codes.mark(0..numbers.len(), &WantedCodes::new(wanted), &mut marks);
            prop_assert_eq!(&marks, &expected);
            let run = Run { file: 0, start: 10, rows: marks.len() as u32 };
            let mut kept = Vec::new();
            keep_marked(run, &marks, &mut kept);
            let rows = kept.iter().flat_map(|run| run.range()).collect::<Vec<_>>();
            let ones = (10..).zip(&expected).filter(|(_, mark)| **mark == 1).map(|(row, _)| row);
            prop_assert_eq!(rows, ones.collect::<Vec<_>>());
        }
    }
}

//! Counts equal rows of one ingest in bounded memory.
//!
//! The 64-bit hashes of all rows so far stand in sorted runs, 8 bytes a row; runs of like length
//! are merged. Above a limit they move to one temporary file, which is read from front to end for
//! each chunk. Two different rows with one hash would only leave a gap in the numbers.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Numbers the occurrences of hashes: the first is 1.
#[derive(Debug)]
pub(super) struct OccurrenceCounter {
    /// Sorted runs in memory, each at most half as long as the one before it.
    runs: Vec<Vec<u64>>,
    /// One sorted run on disk.
    spilled: Option<File>,
    memory_bytes_max: usize,
}

impl OccurrenceCounter {
    /// Keeps at most so many bytes in memory.
    pub(super) fn new(memory_bytes_max: usize) -> Self {
        Self { runs: Vec::new(), spilled: None, memory_bytes_max }
    }

    /// The occurrence number of each of these hashes, in their order, and remembers them.
    ///
    /// # Errors
    /// [`Error::Scratch`].
    pub(super) fn number(&mut self, hashes: &[u64]) -> Result<Vec<u32>> {
        let mut order: Vec<u32> = (0..hashes.len() as u32).collect();
        order.sort_unstable_by_key(|&row| (hashes[row as usize], row));
        let sorted: Vec<u64> = order.iter().map(|&row| hashes[row as usize]).collect();
        let before = self.counts(&sorted)?;
        let mut numbers = vec![0; hashes.len()];
        let mut within = 0;
        for (place, &row) in order.iter().enumerate() {
            let is_repeat = place > 0 && sorted[place] == sorted[place - 1];
            within = if is_repeat { within + 1 } else { 1 };
            numbers[row as usize] = before[place] + within;
        }
        self.remember(sorted)?;
        Ok(numbers)
    }

    /// How often each of these sorted hashes was seen.
    fn counts(&mut self, sorted: &[u64]) -> Result<Vec<u32>> {
        let mut counts = vec![0; sorted.len()];
        for run in &self.runs {
            add_counts_of(sorted, run, &mut counts);
        }
        if let Some(file) = &mut self.spilled {
            add_counts(sorted, Hashes::of(file)?, &mut counts)?;
        }
        Ok(counts)
    }

    fn remember(&mut self, sorted: Vec<u64>) -> Result<()> {
        self.runs.push(sorted);
        while let [.., longer, shorter] = &self.runs[..] {
            if longer.len() / 2 >= shorter.len() {
                break;
            }
            self.merge_last_two();
        }
        let bytes: usize = self.runs.iter().map(|run| run.len() * size_of::<u64>()).sum();
        if bytes > self.memory_bytes_max { self.spill() } else { Ok(()) }
    }

    fn merge_last_two(&mut self) {
        if let (Some(one), Some(other)) = (self.runs.pop(), self.runs.pop()) {
            let mut merged = Vec::with_capacity(one.len() + other.len());
            let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
            while let Some(next) = match (one.peek(), other.peek()) {
                (Some(a), Some(b)) if a <= b => one.next(),
                (_, Some(_)) => other.next(),
                (_, None) => one.next(),
            } {
                merged.push(next);
            }
            self.runs.push(merged);
        }
    }

    /// Moves everything in memory into the run on disk.
    fn spill(&mut self) -> Result<()> {
        while self.runs.len() > 1 {
            self.merge_last_two();
        }
        let mut fresh = self.runs.pop().unwrap_or_default().into_iter().peekable();
        let mut writer = BufWriter::new(tempfile::tempfile().map_err(scratch)?);
        if let Some(file) = &mut self.spilled {
            for old in Hashes::of(file)? {
                let old = old?;
                while let Some(new) = fresh.next_if(|&new| new < old) {
                    writer.write_all(&new.to_le_bytes()).map_err(scratch)?;
                }
                writer.write_all(&old.to_le_bytes()).map_err(scratch)?;
            }
        }
        for new in fresh {
            writer.write_all(&new.to_le_bytes()).map_err(scratch)?;
        }
        let file = writer.into_inner().map_err(|error| scratch(error.into_error()))?;
        self.spilled = Some(file);
        Ok(())
    }
}

/// Finds each hash in a run that may be much longer, by growing steps from where the last one was.
fn add_counts_of(sorted: &[u64], mut run: &[u64], counts: &mut [u32]) {
    let mut place = 0;
    while place < sorted.len() && !run.is_empty() {
        let hash = sorted[place];
        let mut reach = 1;
        while run.get(reach).is_some_and(|&seen| seen < hash) {
            reach *= 2;
        }
        let within = &run[..run.len().min(reach + 1)];
        run = &run[within.partition_point(|&seen| seen < hash)..];
        let count = run.iter().take_while(|&&seen| seen == hash).count();
        while place < sorted.len() && sorted[place] == hash {
            counts[place] += count as u32;
            place += 1;
        }
    }
}

/// Walks both sorted sequences once.
fn add_counts(
    sorted: &[u64],
    run: impl Iterator<Item = Result<u64>>,
    counts: &mut [u32],
) -> Result<()> {
    let mut run = run.peekable();
    let mut place = 0;
    while place < sorted.len() {
        let hash = sorted[place];
        let mut count = 0;
        while let Some(seen) = run.next_if(|seen| !matches!(seen, Ok(seen) if *seen > hash)) {
            count += u32::from(seen? == hash);
        }
        while place < sorted.len() && sorted[place] == hash {
            counts[place] += count;
            place += 1;
        }
    }
    Ok(())
}

/// Reads the hashes of a file from its start.
struct Hashes<'a> {
    reader: BufReader<&'a mut File>,
}

impl<'a> Hashes<'a> {
    fn of(file: &'a mut File) -> Result<Self> {
        file.seek(SeekFrom::Start(0)).map_err(scratch)?;
        Ok(Self { reader: BufReader::with_capacity(1 << 20, file) })
    }
}

impl Iterator for Hashes<'_> {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = [0; 8];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Some(Ok(u64::from_le_bytes(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
            Err(error) => Some(Err(scratch(error))),
        }
    }
}

fn scratch(source: std::io::Error) -> Error {
    Error::Scratch { during: "counting equal rows".into(), source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        // If this fails, equal rows get one id and are lost, or a repeated file is not recognised.
        #[test]
        fn numbers_are_those_of_a_plain_count(
            batches in prop::collection::vec(prop::collection::vec(0_u64..20, 0..40), 0..12),
            memory in prop_oneof![Just(0_usize), Just(200), Just(1 << 20)],
        ) {
            let mut counter = OccurrenceCounter::new(memory);
            let mut plain: HashMap<u64, u32> = HashMap::new();
            for batch in batches {
                let numbers = counter.number(&batch).unwrap();
                for (hash, number) in batch.iter().zip(numbers) {
                    let count = plain.entry(*hash).or_default();
                    *count += 1;
                    prop_assert_eq!(number, *count);
                }
            }
        }
    }
}

//! The index of one data file: which rows belong to which identifiers, without decoding any.
//!
//! A data file is a sequence of *groups*: runs of rows of one identifier, or in a compacted file
//! of one customer as it was then. The index names the first row of each group and the identifiers
//! in it. For any set of customers, under any identity map, the exact row ranges follow from these
//! arrays. Rows without an identifier are one last group without identifiers.
//!
//! Behind the checksums of [`blocks`](super::blocks), the payload inside the frame is one zstd
//! stream of LEB128 numbers:
//!
//! ```text
//! rows · groups · identifiers
//! then for each group: rows in it (≥ 1) · identifiers in it ·
//!   the first identifier, as zigzag difference to the first one of the group before ·
//!   each further identifier, as difference (≥ 1) to the one before
//! ```

use super::blocks::BlockHasher;
use super::index_object::IndexObject;
use super::varint::{ReadNumber, put, put_signed};
use crate::error::{Error, Result};
use std::io::Read;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many identifiers are compared with one that is wanted before the next one is.
const IDENTIFIERS_AT_ONCE: usize = 256;

/// Indexes have at most about so many times the bytes of their compressed form; memory that is not
/// written to costs nothing.
const EXPANDS_BY: u64 = 4;
/// The numbers before the groups take at most so many bytes.
const HEAD_BYTES_MAX: u64 = 15;
/// And those of a group and its identifiers so many for each row.
const ROW_BYTES_MAX: u64 = 15;

/// The parsed index of one data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIndex {
    rows: u32,
    /// The first row of each group, ascending, beginning with 0.
    first_row: Vec<u32>,
    /// Where the identifiers of each group begin in `identifiers`.
    group_start: Vec<u32>,
    /// The identifiers of all groups; ascending within a group.
    identifiers: Vec<u32>,
    look_up: LookUp,
}

/// In which order identifiers stand: made when somebody looks for a few of them again, since a program
/// that asks once has found them sooner by a look at all.
#[derive(Debug, Default)]
struct LookUp {
    was_asked: AtomicBool,
    /// The places of identifiers, in the order of these.
    order: OnceLock<Vec<u32>>,
}

impl LookUp {
    /// The places of the identifiers in their order; `None` the first time.
    fn places_in_order(&self, identifiers: &[u32]) -> Option<&[u32]> {
        if !self.was_asked.swap(true, Ordering::Relaxed) {
            return None;
        }
        let order = self.order.get_or_init(|| {
            let mut order = (0..identifiers.len() as u32).collect::<Vec<_>>();
            order.sort_unstable_by_key(|&place| identifiers[place as usize]);
            order
        });
        Some(order)
    }
}

/// It says nothing that the identifiers do not say.
impl PartialEq for LookUp {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for LookUp {}

impl Clone for LookUp {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// One group of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its rows.
    pub rows: Range<u32>,
    /// The identifiers in it, ascending; empty for the rows without an identifier.
    pub identifiers: &'a [u32],
}

impl FileIndex {
    /// How many rows the file has.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The groups in file order.
    #[inline]
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group<'_>> {
        (0..self.first_row.len()).map(|group| self.group(group))
    }

    /// All identifiers in the file, group by group.
    pub fn identifiers(&self) -> &[u32] {
        &self.identifiers
    }

    /// The rows without an identifier; they are the last ones. Empty when there are none.
    pub fn rows_without_identifier(&self) -> Range<u32> {
        match self.first_row.len().checked_sub(1).map(|last| self.group(last)) {
            Some(group) if group.identifiers.is_empty() => group.rows,
            _ => self.rows..self.rows,
        }
    }

    /// The exact rows of the groups that hold a wanted identifier, ascending, neighbours joined.
    ///
    /// Ask with *all* identifiers of a customer: a group counts when any of its identifiers is
    /// wanted. Rows without an identifier are never among them.
    ///
    /// ```
    /// use habitue_storage::data_file::FileIndexBuilder;
    /// let mut builder = FileIndexBuilder::default();
    /// for (identifier, rows) in [(Some(3), 10), (Some(7), 5), (Some(8), 1), (None, 4)] {
    ///     for _ in 0..rows {
    ///         builder.push(identifier, identifier)?;
    ///     }
    /// }
    /// let index = builder.finish();
    /// assert_eq!(index.row_ranges(|identifier| identifier >= 7), [10..16]);
    /// # Ok::<(), habitue_storage::Error>(())
    /// ```
    pub fn row_ranges(&self, wanted: impl Fn(u32) -> bool) -> Vec<Range<u32>> {
        let mut ranges = Vec::new();
        let mut group = 0;
        for (place, &identifier) in (0_u32..).zip(&self.identifiers) {
            if wanted(identifier) {
                // Few are wanted, mostly: only their groups are looked for.
                group += self.group_start[group..].partition_point(|&start| start <= place) - 1;
                add_range(&mut ranges, self.group(group).rows);
            }
        }
        ranges
    }

    /// The same for a few identifiers, without a look at each group.
    ///
    /// ```
    /// # use habitue_storage::data_file::FileIndexBuilder;
    /// # let mut builder = FileIndexBuilder::default();
    /// # for (identifier, rows) in [(Some(3), 10), (Some(7), 5), (Some(8), 1), (None, 4)] {
    /// #     for _ in 0..rows {
    /// #         builder.push(identifier, identifier)?;
    /// #     }
    /// # }
    /// # let index = builder.finish();
    /// assert_eq!(index.row_ranges_of(&[8, 3, 99]), [0..10, 15..16]);
    /// # Ok::<(), habitue_storage::Error>(())
    /// ```
    pub fn row_ranges_of(&self, wanted: &[u32]) -> Vec<Range<u32>> {
        let mut places = match self.look_up.places_in_order(&self.identifiers) {
            Some(order) => self.places_by_order(order, wanted),
            None => self.places_by_comparing(wanted),
        };
        places.sort_unstable();
        let mut ranges = Vec::new();
        for place in places {
            let group = self.group_start.partition_point(|&start| start <= place) - 1;
            add_range(&mut ranges, self.group(group).rows);
        }
        ranges
    }

    /// Where these identifiers stand, when it is known in which order they do.
    fn places_by_order(&self, order: &[u32], wanted: &[u32]) -> Vec<u32> {
        let identifier = |place: &u32| self.identifiers[*place as usize];
        let places = wanted.iter().flat_map(|wanted| {
            let first = order.partition_point(|place| identifier(place) < *wanted);
            order[first..].iter().take_while(move |place| identifier(place) == *wanted)
        });
        places.copied().collect()
    }

    /// Where these identifiers stand, by a look at all.
    fn places_by_comparing(&self, wanted: &[u32]) -> Vec<u32> {
        let mut places = Vec::new();
        for (chunk, identifiers) in self.identifiers.chunks(IDENTIFIERS_AT_ONCE).enumerate() {
            // One comparison of all with each: the machine does many of them in one step.
            let is_there = |wanted: &u32| {
                identifiers.iter().fold(false, |found, identifier| found | (identifier == wanted))
            };
            if wanted.iter().any(is_there) {
                let found = (0..).zip(identifiers).filter(|(_, one)| wanted.contains(one));
                let first = (chunk * IDENTIFIERS_AT_ONCE) as u32;
                places.extend(found.map(|(place, _): (u32, _)| first + place));
            }
        }
        places
    }

    /// Whether each group is one customer and customers ascend strictly from group to group: then
    /// the rows are sorted by `(customer, ts)` under this map. Rows without an identifier come last.
    pub fn is_sorted_by(&self, customer_of: impl Fn(u32) -> u32) -> bool {
        let mut before: Option<u32> = None;
        for group in self.groups() {
            let Some((&first, others)) = group.identifiers.split_first() else {
                continue; // only the last group has none
            };
            let customer = customer_of(first);
            if others.iter().any(|&identifier| customer_of(identifier) != customer) {
                return false;
            }
            if before.is_some_and(|before| before >= customer) {
                return false;
            }
            before = Some(customer);
        }
        true
    }

    /// How much memory it takes, with the order of identifiers that it may get.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<u32>()
                * (self.first_row.len() + self.group_start.len() + 2 * self.identifiers.len())
    }

    /// The payload of the index object of a data file with these bytes, to be framed.
    ///
    /// # Errors
    /// Like [`FileIndex::encode`].
    pub fn encode_for(&self, data_file: &[u8]) -> Result<Vec<u8>> {
        let mut blocks = BlockHasher::default();
        blocks.update(data_file);
        IndexObject::encode(&blocks.finish(), self)
    }

    /// The groups, as they stand in the payload behind the checksums of blocks.
    ///
    /// # Errors
    /// [`Error::Internal`] when zstd fails to compress in memory.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(self.identifiers.len() * 3 + 16);
        put(&mut plain, u64::from(self.rows));
        put(&mut plain, self.first_row.len() as u64);
        put(&mut plain, self.identifiers.len() as u64);
        let mut first_before = 0_u32;
        for group in self.groups() {
            put(&mut plain, u64::from(group.rows.end - group.rows.start));
            put(&mut plain, group.identifiers.len() as u64);
            let Some((&first, others)) = group.identifiers.split_first() else {
                continue;
            };
            put_signed(&mut plain, i64::from(first) - i64::from(first_before));
            first_before = first;
            let mut before = first;
            for &identifier in others {
                put(&mut plain, u64::from(identifier - before));
                before = identifier;
            }
        }
        zstd::bulk::compress(&plain, 1)
            .map_err(|error| Error::Internal(format!("zstd cannot compress an index: {error}")))
    }

    /// Reads the groups back, for a file of this many rows.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes that [`FileIndex::encode`] does not make; hostile bytes cannot
    /// make it take more memory than a file of so many rows may need.
    pub fn decode(path: &str, payload: &[u8], rows_expected: u64) -> Result<Self> {
        let corrupt = |reason: &str| Error::corrupt(path, format!("file index: {reason}"));
        let reader = zstd::Decoder::new(payload).map_err(|_| corrupt("not a zstd stream"))?;
        // No payload that is sound is longer.
        let bytes_max = rows_expected.saturating_mul(ROW_BYTES_MAX) + HEAD_BYTES_MAX;
        let guessed = (payload.len() as u64).saturating_mul(EXPANDS_BY).min(bytes_max);
        let mut plain = Vec::with_capacity(guessed as usize);
        let read = reader.take(bytes_max).read_to_end(&mut plain);
        read.map_err(|error| corrupt(&error.to_string()))?;
        let mut numbers = ReadNumber::new(&plain);
        let index = Self::read(&mut numbers, rows_expected).map_err(|reason| corrupt(&reason))?;
        if !numbers.is_at_end() {
            return Err(corrupt("bytes follow after the last group"));
        }
        Ok(index)
    }

    fn read(numbers: &mut ReadNumber<'_>, rows_expected: u64) -> Result<Self, String> {
        let rows = numbers.next_u32()?;
        if u64::from(rows) != rows_expected {
            return Err(format!("is of {rows} rows, wanted {rows_expected}"));
        }
        let groups = numbers.next_u32()?;
        let identifiers = numbers.next_u32()?;
        if groups > rows || identifiers > rows {
            return Err(format!("{groups} groups, {identifiers} identifiers in {rows} rows"));
        }
        if groups as usize + identifiers as usize > numbers.left() {
            return Err("is cut off".into());
        }
        let mut index = Self {
            rows,
            first_row: Vec::with_capacity(groups as usize),
            group_start: Vec::with_capacity(groups as usize),
            identifiers: Vec::with_capacity(identifiers as usize),
            look_up: LookUp::default(),
        };
        let mut row = 0_u32;
        let mut first_before = 0_i64;
        for group in 0..groups {
            let rows_in_group = numbers.next_u32()?;
            let count = numbers.next_u32()?;
            if rows_in_group == 0 || count > rows_in_group {
                return Err(format!("group of {rows_in_group} rows has {count} identifiers"));
            }
            if count == 0 && group + 1 != groups {
                return Err("rows without an identifier are not the last".into());
            }
            index.first_row.push(row);
            index.group_start.push(index.identifiers.len() as u32);
            row = row
                .checked_add(rows_in_group)
                .filter(|&row| row <= rows)
                .ok_or("groups have more rows than the file")?;
            if count > 0 {
                first_before += numbers.next_signed()?;
                index.read_identifiers(numbers, first_before, count)?;
            }
        }
        if row != rows || index.identifiers.len() != identifiers as usize {
            return Err("groups do not add up to the file".into());
        }
        Ok(index)
    }

    fn read_identifiers(
        &mut self,
        numbers: &mut ReadNumber<'_>,
        first: i64,
        count: u32,
    ) -> Result<(), String> {
        let mut identifier =
            u32::try_from(first).map_err(|_| format!("identifier {first} is no number"))?;
        self.identifiers.push(identifier);
        for _ in 1..count {
            let step = numbers.next_u32()?;
            identifier = identifier
                .checked_add(step)
                .filter(|_| step > 0)
                .ok_or("identifiers of a group do not ascend")?;
            self.identifiers.push(identifier);
        }
        Ok(())
    }

    #[inline]
    fn group(&self, group: usize) -> Group<'_> {
        let rows_end = self.first_row.get(group + 1).copied().unwrap_or(self.rows);
        let end = self.group_start.get(group + 1).copied();
        let end = end.map_or(self.identifiers.len(), |end| end as usize);
        Group {
            rows: self.first_row[group]..rows_end,
            identifiers: &self.identifiers[self.group_start[group] as usize..end],
        }
    }
}

/// Adds the rows of a group, which are behind all others or the last ones again.
fn add_range(ranges: &mut Vec<Range<u32>>, rows: Range<u32>) {
    match ranges.last_mut() {
        // Also the same group again, by another identifier of it.
        Some(last) if last.end >= rows.start => last.end = rows.end,
        _ => ranges.push(rows),
    }
}

/// Makes a [`FileIndex`] while rows are written.
#[derive(Debug, Default)]
pub struct FileIndexBuilder {
    rows: u32,
    first_row: Vec<u32>,
    group_start: Vec<u32>,
    identifiers: Vec<u32>,
    /// The key of the group that is being made, once there is one.
    key: Option<Option<u32>>,
    /// From here on the identifiers of the open group may repeat or stand unsorted.
    unsorted_from: usize,
}

impl FileIndexBuilder {
    /// One more row: its identifier, and the key of its group (identifier or customer). A new key
    /// begins a new group; rows without an identifier have no key.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when a file would have more than 2³² - 1 rows.
    pub fn push(&mut self, key: Option<u32>, identifier: Option<u32>) -> Result<()> {
        if self.key != Some(key) {
            self.close_group();
            self.key = Some(key);
            self.first_row.push(self.rows);
            self.group_start.push(self.identifiers.len() as u32);
        }
        if let Some(identifier) = identifier
            && (self.group_is_empty() || self.identifiers.last() != Some(&identifier))
        {
            self.identifiers.push(identifier);
            if self.identifiers.len() - self.unsorted_from > REPEATS_MAX {
                self.close_group();
            }
        }
        self.rows = self
            .rows
            .checked_add(1)
            .ok_or(Error::Exhausted { what: "rows of a data file", limit: u64::from(u32::MAX) })?;
        Ok(())
    }

    /// The index of the rows so far.
    pub fn finish(mut self) -> FileIndex {
        self.close_group();
        FileIndex {
            rows: self.rows,
            first_row: self.first_row,
            group_start: self.group_start,
            identifiers: self.identifiers,
            look_up: LookUp::default(),
        }
    }

    fn group_is_empty(&self) -> bool {
        self.group_start.last().is_none_or(|&start| start as usize == self.identifiers.len())
    }

    /// Brings the identifiers of the open group into order, each once.
    fn close_group(&mut self) {
        let start = self.group_start.last().map_or(0, |&start| start as usize);
        let mut group = self.identifiers.split_off(start);
        group.sort_unstable();
        group.dedup();
        self.identifiers.extend(group);
        self.unsorted_from = self.identifiers.len();
    }
}

/// After so many changes of identifier within one group, repeated ones are removed.
const REPEATS_MAX: usize = 4096;

#[cfg(test)]
mod tests;

//! Sets of numbers as bytes that every roaring library reads: the portable format.
//!
//! Sets of numbers below 2^32 are written with the 32-bit header, others with the 64-bit header;
//! both are read. Equal sets are written as equal bytes, whatever made them, so that bitmaps can be
//! compared and grouped.

use std::fmt;
use std::io;

use roaring::{RoaringBitmap, RoaringTreemap};

/// A set of numbers from 0 to 2^64 - 1.
///
/// Numbers below 2^32, which is all that customers have, live in a plain 32-bit bitmap; the map of
/// bitmaps for larger numbers costs nothing while it is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bitmap {
    low: RoaringBitmap,
    high: RoaringTreemap,
}

impl From<RoaringBitmap> for Bitmap {
    fn from(low: RoaringBitmap) -> Self {
        Self { low, high: RoaringTreemap::new() }
    }
}

/// Bytes that are no portable roaring bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedBitmap {
    /// How many bytes came.
    pub bytes: usize,
    /// What is wrong with them.
    pub reason: String,
}

impl fmt::Display for MalformedBitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no portable roaring bitmap. bytes={}, reason={}", self.bytes, self.reason)
    }
}

impl std::error::Error for MalformedBitmap {}

/// The key and the smallest bitmap that follow each other under a 64-bit header.
const ENTRY_BYTES_MIN: u64 = 4 + 8;

impl Bitmap {
    /// Reads a bitmap with a 32-bit or a 64-bit header. All bytes must belong to it.
    ///
    /// The two headers have no mark that tells them apart, so bytes are read as the one, and when
    /// they do not end where it says, as the other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedBitmap> {
        let reason = match Self::read_32_bit(bytes) {
            Ok(low) => {
                return Ok(Self { low, high: RoaringTreemap::new() });
            }
            Err(reason) => reason,
        };
        Self::read_64_bit(bytes).map_err(|other| MalformedBitmap {
            bytes: bytes.len(),
            reason: format!("32-bit header: {reason}; 64-bit header: {other}"),
        })
    }

    fn read_32_bit(mut bytes: &[u8]) -> io::Result<RoaringBitmap> {
        let bitmap = RoaringBitmap::deserialize_from(&mut bytes)?;
        all_read(bytes)?;
        Ok(bitmap)
    }

    fn read_64_bit(mut bytes: &[u8]) -> io::Result<Self> {
        let count = u64::from_le_bytes(take(&mut bytes)?);
        if count.saturating_mul(ENTRY_BYTES_MIN) > bytes.len() as u64 {
            return Err(io::Error::other("more bitmaps promised than bytes can hold"));
        }
        let mut bitmaps = Vec::new();
        let mut last_key = None;
        for _ in 0..count {
            let key = u32::from_le_bytes(take(&mut bytes)?);
            if last_key.is_some_and(|last| key <= last) {
                return Err(io::Error::other("keys are not sorted"));
            }
            last_key = Some(key);
            bitmaps.push((key, RoaringBitmap::deserialize_from(&mut bytes)?));
        }
        all_read(bytes)?;
        let (low, high): (Vec<_>, Vec<_>) = bitmaps.into_iter().partition(|(key, _)| *key == 0);
        let low = low.into_iter().next().map(|(_, bitmap)| bitmap).unwrap_or_default();
        let high = high.into_iter().filter(|(_, bitmap)| !bitmap.is_empty());
        Ok(Self { low, high: RoaringTreemap::from_bitmaps(high) })
    }

    /// The portable bytes: the same for equal sets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.high.is_empty() {
            write_canonical(&self.low, &mut bytes);
            return bytes;
        }
        let low = (!self.low.is_empty()).then_some((0, &self.low));
        let count = usize::from(low.is_some()) + self.high.bitmaps().count();
        bytes.extend((count as u64).to_le_bytes());
        for (key, bitmap) in low.into_iter().chain(self.high.bitmaps()) {
            bytes.extend(key.to_le_bytes());
            write_canonical(bitmap, &mut bytes);
        }
        bytes
    }

    /// Adds numbers, quickest when they rise.
    pub fn extend(&mut self, values: impl Iterator<Item = u64>) {
        let mut rising = Vec::new();
        let mut last = self.low.max();
        for value in values {
            match u32::try_from(value) {
                Ok(low) if last.is_none_or(|last| low > last) => {
                    rising.push(low);
                    last = Some(low);
                }
                _ => self.insert(value),
            }
        }
        // One that was out of order may have got between them.
        if self.low.append(rising.iter().copied()).is_err() {
            self.low.extend(rising);
        }
    }

    /// Adds a number.
    pub fn insert(&mut self, value: u64) {
        match u32::try_from(value) {
            Ok(value) => self.low.insert(value),
            Err(_) => self.high.insert(value),
        };
    }

    /// Whether the number is in the set.
    pub fn contains(&self, value: u64) -> bool {
        match u32::try_from(value) {
            Ok(value) => self.low.contains(value),
            Err(_) => self.high.contains(value),
        }
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> u64 {
        self.low.len() + self.high.len()
    }

    /// Whether the set has no number.
    pub fn is_empty(&self) -> bool {
        self.low.is_empty() && self.high.is_empty()
    }

    /// The smallest number.
    pub fn min(&self) -> Option<u64> {
        self.low.min().map(u64::from).or_else(|| self.high.min())
    }

    /// The largest number.
    pub fn max(&self) -> Option<u64> {
        self.high.max().or_else(|| self.low.max().map(u64::from))
    }

    /// The numbers, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.low.iter().map(u64::from).chain(self.high.iter())
    }

    /// Adds the other set's numbers.
    pub fn union_with(&mut self, other: &Self) {
        self.low |= &other.low;
        self.high |= &other.high;
    }

    /// Keeps the numbers that are in both sets.
    pub fn intersect_with(&mut self, other: &Self) {
        self.low &= &other.low;
        self.high &= &other.high;
    }

    /// Keeps the numbers that are not in the other set.
    pub fn subtract(&mut self, other: &Self) {
        self.low -= &other.low;
        self.high -= &other.high;
    }

    /// Keeps the numbers that are in one of the two sets only.
    pub fn toggle(&mut self, other: &Self) {
        self.low ^= &other.low;
        self.high ^= &other.high;
    }

    /// How many numbers are in both sets, without making the intersection.
    pub fn intersection_len(&self, other: &Self) -> u64 {
        self.low.intersection_len(&other.low) + self.high.intersection_len(&other.high)
    }

    /// How many numbers are smaller.
    pub fn count_below(&self, value: u64) -> u64 {
        let Some(last) = value.checked_sub(1) else {
            return 0;
        };
        match u32::try_from(last) {
            Ok(last) => self.low.rank(last),
            Err(_) => self.low.len() + self.high.rank(last),
        }
    }

    /// The number that has this many numbers below it in the set.
    pub fn at_index(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.low.len()) {
            None => self.low.select(index as u32).map(u64::from),
            Some(index) => self.high.select(index),
        }
    }

    /// The numbers from `first` up to, not including, `end` (`None`: no end).
    pub fn range(&self, first: u64, end: Option<u64>) -> Self {
        let mut range = self.clone();
        match u32::try_from(first) {
            Ok(first) => range.low.remove_range(..first),
            Err(_) => range.low.remove_range(..),
        };
        range.high.remove_range(..first);
        if let Some(end) = end {
            if let Ok(end) = u32::try_from(end) {
                range.low.remove_range(end..);
            }
            range.high.remove_range(end..);
        }
        range
    }

    /// `count` numbers in order of size, leaving out the `skip` smallest.
    pub fn slice(&self, skip: u64, count: u64) -> Self {
        match self.at_index(skip) {
            Some(first) if count > 0 => {
                self.range(first, skip.checked_add(count).and_then(|end| self.at_index(end)))
            }
            _ => Self::default(),
        }
    }

    /// About how many bytes of memory the set takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.low.serialized_size() + self.high.serialized_size()
    }
}

impl FromIterator<u64> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut bitmap = Self::default();
        values.into_iter().for_each(|value| bitmap.insert(value));
        bitmap
    }
}

/// The smallest form of each container is unique only when it is chosen from the plain form.
fn write_canonical(bitmap: &RoaringBitmap, bytes: &mut Vec<u8>) {
    let mut canonical = bitmap.clone();
    canonical.remove_run_compression();
    canonical.optimize();
    bytes.reserve(canonical.serialized_size());
    // Writing into memory cannot fail.
    let _ = canonical.serialize_into(bytes);
}

fn take<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
    *bytes = rest;
    Ok(*taken)
}

fn all_read(rest: &[u8]) -> io::Result<()> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("{} bytes too many", rest.len())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bitmap(values: &[u64]) -> Bitmap {
        values.iter().copied().collect()
    }

    const BIG: u64 = 1 << 40;

    #[test]
    fn small_numbers_are_plain_32_bit_bytes() {
        let bytes = bitmap(&[1, 2, 70_000]).to_bytes();
        let plain = RoaringBitmap::deserialize_from(&bytes[..]).unwrap();
        assert_eq!(plain, [1, 2, 70_000].into_iter().collect());
    }

    #[test]
    fn large_numbers_are_plain_64_bit_bytes() {
        let bytes = bitmap(&[1, BIG]).to_bytes();
        let plain = RoaringTreemap::deserialize_from(&bytes[..]).unwrap();
        assert_eq!(plain, [1, BIG].into_iter().collect());
    }

    #[test]
    fn both_headers_are_read_and_equal_sets_are_equal_bytes() {
        for values in [vec![], vec![5], (0..100_000).collect::<Vec<u64>>()] {
            let mut wide = Vec::new();
            let treemap: RoaringTreemap = values.iter().copied().collect();
            treemap.serialize_into(&mut wide).unwrap();
            let read = Bitmap::from_bytes(&wide).unwrap();
            assert_eq!(read, bitmap(&values));
            assert_eq!(read.to_bytes(), bitmap(&values).to_bytes());
        }
    }

    #[test]
    fn same_set_made_in_two_ways_has_the_same_bytes() {
        // A run of three takes as many bytes as an array of three: either could stay as it is.
        let mut runs = RoaringBitmap::from_iter(0..9);
        runs.optimize();
        runs.remove_range(3..);
        let made = Bitmap { low: runs, high: RoaringTreemap::new() };
        assert_eq!(made.to_bytes(), bitmap(&[0, 1, 2]).to_bytes());
    }

    #[test]
    fn empty_bytes_and_tails_are_refused() {
        assert!(Bitmap::from_bytes(&[]).is_err());
        let mut bytes = bitmap(&[1]).to_bytes();
        bytes.push(0);
        let error = Bitmap::from_bytes(&bytes).unwrap_err();
        assert!(error.to_string().contains("1 bytes too many"), "{error}");
    }

    #[test]
    fn promise_of_many_bitmaps_allocates_nothing() {
        assert!(Bitmap::from_bytes(&u64::MAX.to_le_bytes()).is_err());
        let mut bytes = (1_u64 << 40).to_le_bytes().to_vec();
        bytes.extend([0; 100]);
        assert!(Bitmap::from_bytes(&bytes).is_err());
    }

    #[test]
    fn slices_cross_the_32_bit_border() {
        let all = bitmap(&[1, 5, BIG, BIG + 1]);
        assert_eq!(all.slice(1, 2), bitmap(&[5, BIG]));
        assert_eq!(all.slice(2, u64::MAX), bitmap(&[BIG, BIG + 1]));
        assert_eq!(all.slice(4, 1), Bitmap::default());
        assert_eq!(all.range(2, Some(BIG + 1)), bitmap(&[5, BIG]));
        assert_eq!(all.range(BIG, None), bitmap(&[BIG, BIG + 1]));
        assert_eq!((all.count_below(0), all.count_below(6), all.count_below(BIG + 1)), (0, 2, 3));
        assert_eq!(all.count_below(u64::MAX), 4);
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let value = prop_oneof![0..40_u64, 60_000..70_000_u64, BIG..BIG + 9, any::<u64>()];
        prop::collection::vec(value, 0..60)
    }

    proptest! {
        #[test]
        fn bytes_come_back_as_the_same_set(values in values()) {
            let set = bitmap(&values);
            prop_assert_eq!(Bitmap::from_bytes(&set.to_bytes()).unwrap(), set);
        }

        #[test]
        fn damaged_bytes_never_panic(
            values in values(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = bitmap(&values).to_bytes();
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(keep.index(bytes.len() + 1));
            if let Ok(read) = Bitmap::from_bytes(&bytes) {
                prop_assert_eq!(Bitmap::from_bytes(&read.to_bytes()).unwrap(), read);
            }
        }

        #[test]
        fn random_bytes_never_panic(
            cookie in prop_oneof![Just(12_346_u32), Just(12_347), any::<u32>()],
            tail in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let bytes: Vec<u8> = cookie.to_le_bytes().into_iter().chain(tail).collect();
            let _ = Bitmap::from_bytes(&bytes).map(|read| read.iter().take(99).count());
        }
    }
}

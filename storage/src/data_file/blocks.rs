//! Checksums of the blocks of a data file, so that a scan that reads a few pages checks what it
//! reads.
//!
//! Parquet has a place for a checksum of each page, but the writer that is used here fills none in.
//! So the index of a data file holds the CRC-32 of each block of it, footer and filters included.
//! Whoever wants a range reads the whole blocks around it, compares, and cuts the range out.
//!
//! In the index: the number of blocks as 32 bits, then the checksum of each, all little-endian.

use crate::error::{Error, Result};
use bytes::Bytes;
use std::ops::Range;

/// The size of a block; the last one of a file may be shorter. Small beside a page of a column, so
/// that little is read besides what is wanted; the checksums take a four-thousandth of the file.
pub(crate) const BLOCK_BYTES: u64 = 16 * 1024;

/// The checksums of the blocks of one data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockChecksums {
    /// The size of the file.
    bytes: u64,
    crc32: Vec<u32>,
}

impl BlockChecksums {
    /// Appends them to an index.
    pub(super) fn encode(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&(self.crc32.len() as u32).to_le_bytes());
        for crc32 in &self.crc32 {
            payload.extend_from_slice(&crc32.to_le_bytes());
        }
    }

    /// Reads those of a file of this size from the front of a payload; answers what follows, too.
    pub(super) fn decode(path: &str, bytes: u64, payload: &[u8]) -> Result<(Self, usize)> {
        let (numbers, _) = payload.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|number| u32::from_le_bytes(*number));
        let blocks = bytes.div_ceil(BLOCK_BYTES);
        let told = numbers.next();
        if told.map(u64::from) != Some(blocks) {
            let reason = format!("checksums of {told:?} blocks, wanted {blocks}");
            return Err(Error::corrupt(path, reason));
        }
        let crc32: Vec<u32> = numbers.take(blocks as usize).collect();
        if crc32.len() as u64 != blocks {
            return Err(Error::corrupt(path, "the checksums of blocks are cut off"));
        }
        let read = size_of::<u32>() * (crc32.len() + 1);
        Ok((Self { bytes, crc32 }, read))
    }

    /// How much memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of::<u32>() * self.crc32.len()
    }

    /// The whole blocks around these ranges, ascending, neighbours joined.
    pub(crate) fn around(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let whole = |range: &Range<u64>| {
            let start = range.start / BLOCK_BYTES * BLOCK_BYTES;
            start..range.end.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES).min(self.bytes)
        };
        let mut blocks: Vec<Range<u64>> = ranges.iter().map(whole).collect();
        blocks.sort_unstable_by_key(|range| range.start);
        blocks.dedup_by(|next, before| {
            let is_behind = next.start > before.end;
            if !is_behind {
                before.end = before.end.max(next.end);
            }
            !is_behind
        });
        blocks
    }

    /// Checks what was read of some blocks, and cuts ranges out of it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a checksum differs, or bytes are missing.
    pub(crate) fn cut(
        &self,
        path: &str,
        ranges: &[Range<u64>],
        around: &[Range<u64>],
        parts: &[Bytes],
    ) -> Result<Vec<Bytes>> {
        if around.len() != parts.len() {
            return Err(Error::corrupt(path, "the store gave fewer ranges than asked"));
        }
        for (blocks, part) in around.iter().zip(parts) {
            self.check(path, blocks, part)?;
        }
        let cut_one = |range: &Range<u64>| {
            let place = around.partition_point(|blocks| blocks.start <= range.start);
            let place = place.checked_sub(1).filter(|&place| range.end <= around[place].end);
            let place = place.ok_or_else(|| {
                let (start, end) = (range.start, range.end);
                let reason = format!("bytes {start} to {end} of {} are wanted", self.bytes);
                Error::corrupt(path, reason)
            })?;
            let start = (range.start - around[place].start) as usize;
            Ok(parts[place].slice(start..start + (range.end - range.start) as usize))
        };
        ranges.iter().map(cut_one).collect()
    }

    fn check(&self, path: &str, blocks: &Range<u64>, part: &Bytes) -> Result<()> {
        if part.len() as u64 != blocks.end.saturating_sub(blocks.start) {
            return Err(Error::corrupt(path, "the store gave fewer bytes than asked"));
        }
        let first = (blocks.start / BLOCK_BYTES) as usize;
        for (number, block) in (first..).zip(part.chunks(BLOCK_BYTES as usize)) {
            let found = crc32fast::hash(block);
            let wanted = self.crc32.get(number).copied();
            if wanted != Some(found) {
                let wanted = wanted.unwrap_or_default();
                let reason = format!("block {number} has checksum {found:08x}, not {wanted:08x}");
                return Err(Error::corrupt(path, reason));
            }
        }
        Ok(())
    }
}

/// Makes [`BlockChecksums`] while a file is written.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockHasher {
    bytes: u64,
    done: Vec<u32>,
    open: crc32fast::Hasher,
}

impl BlockHasher {
    /// Takes in the bytes that follow.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (BLOCK_BYTES - self.bytes % BLOCK_BYTES) as usize;
            let (block, rest) = bytes.split_at(room.min(bytes.len()));
            self.open.update(block);
            self.bytes += block.len() as u64;
            bytes = rest;
            if self.bytes.is_multiple_of(BLOCK_BYTES) {
                self.done.push(std::mem::take(&mut self.open).finalize());
            }
        }
    }

    /// The checksums of all bytes.
    pub(super) fn finish(mut self) -> BlockChecksums {
        if !self.bytes.is_multiple_of(BLOCK_BYTES) {
            self.done.push(self.open.finalize());
        }
        BlockChecksums { bytes: self.bytes, crc32: self.done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(bytes: usize) -> (Bytes, BlockChecksums) {
        let file: Vec<u8> = (0..bytes).map(|place| (place * 7 + place / 251) as u8).collect();
        let mut hasher = BlockHasher::default();
        file.chunks(5_000).for_each(|piece| hasher.update(piece));
        (file.into(), hasher.finish())
    }

    fn read(file: &Bytes, checksums: &BlockChecksums, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let around = checksums.around(ranges);
        let parts: Vec<Bytes> =
            around.iter().map(|r| file.slice(r.start as usize..r.end as usize)).collect();
        checksums.cut("p", ranges, &around, &parts)
    }

    proptest! {
        #[test]
        fn ranges_are_cut_as_they_stand_in_the_file(
            blocks in 0_u64..6,
            ends in prop::collection::vec((0_u64..100_000, 0_u64..40_000), 0..6),
        ) {
            let (file, checksums) = file((blocks * BLOCK_BYTES + 77) as usize);
            let end = file.len() as u64;
            let ranges: Vec<Range<u64>> = ends
                .iter()
                .map(|(start, length)| start.min(&end).to_owned()..(start + length).min(end))
                .collect();
            let parts = read(&file, &checksums, &ranges).unwrap();
            for (range, part) in ranges.iter().zip(parts) {
                prop_assert_eq!(part, file.slice(range.start as usize..range.end as usize));
            }
        }

        // If this fails, a bad disk gives wrong answers and nobody finds out.
        #[test]
        fn a_flip_within_what_is_read_is_found(place in 0_usize..50_000, bit in 0_u32..8) {
            let (file, checksums) = file(50_000);
            let mut flipped = file.to_vec();
            flipped[place] ^= 1 << bit;
            let range = place as u64..place as u64 + 1;
            prop_assert!(read(&flipped.into(), &checksums, &[range]).is_err());
        }
    }

    #[test]
    fn checksums_are_read_back_and_others_are_refused() {
        for bytes in [0, 1, 16_384, 16_385, 40_000] {
            let (_, checksums) = file(bytes);
            let mut payload = Vec::new();
            checksums.encode(&mut payload);
            let end = payload.len();
            payload.extend_from_slice(b"more");
            let read = BlockChecksums::decode("p", bytes as u64, &payload).unwrap();
            assert_eq!(read, (checksums, end));
            assert!(BlockChecksums::decode("p", bytes as u64 + 16_384, &payload).is_err());
            assert!(BlockChecksums::decode("p", bytes as u64, &payload[..end - 1]).is_err());
        }
    }

    #[test]
    fn a_range_behind_the_end_is_refused() {
        let (file, checksums) = file(20_000);
        let behind = 19_999..20_001;
        assert!(read(&file, &checksums, std::slice::from_ref(&behind)).is_err());
    }
}

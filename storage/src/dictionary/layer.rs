//! Identifiers with consecutive numbers, found by their hashes.

use super::compact_table::CompactTable;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// So many identifiers are looked for among all hashes before a table of them is made: a process
/// that asks for one customer and ends has no use for it.
const SCANS_MAX: u32 = 4;

/// Hashes by number, and numbers by hash: 16.5 bytes and at most 7.4 bytes per identifier.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    first: u32,
    hashes: Vec<u128>,
    table: OnceLock<CompactTable>,
    scans: AtomicU32,
}

impl Layer {
    /// An empty layer whose identifiers begin with the number `first`.
    pub fn new(first: u32) -> Self {
        Self { first, ..Self::default() }
    }

    /// A layer of these hashes, the first of which has the number `first`.
    pub fn from_hashes(first: u32, hashes: Vec<u128>) -> Self {
        Self { first, hashes, ..Self::default() }
    }

    /// The first number.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// How many identifiers.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The hashes by number.
    pub fn hashes(&self) -> &[u128] {
        &self.hashes
    }

    /// The number of the identifier with this hash.
    pub fn find(&self, hash: u128) -> Option<u32> {
        let is_scanned =
            self.table.get().is_none() && self.scans.fetch_add(1, Ordering::Relaxed) < SCANS_MAX;
        let place = match is_scanned {
            true => self.hashes.iter().position(|&known| known == hash).map(|place| place as u32),
            false => {
                let is_it = |place: u32| self.hashes[place as usize] == hash;
                self.table.get_or_init(|| table_of(&self.hashes)).find(slot_hash(hash), is_it)
            }
        };
        place.map(|place| self.first + place)
    }

    /// Adds an identifier that is not there yet; answers its number.
    pub fn push(&mut self, hash: u128) -> u32 {
        let place = self.hashes.len() as u32;
        let mut table = self.table.take().unwrap_or_else(|| table_of(&self.hashes));
        if self.hashes.len() == self.hashes.capacity() {
            // Doubling would cost half as much again in memory.
            self.hashes.reserve_exact((self.hashes.len() / 32).max(64));
        }
        self.hashes.push(hash);
        let hashes = &self.hashes;
        let hash_of = |place: u32| slot_hash(hashes[place as usize]);
        table.insert(slot_hash(hash), place, hash_of);
        self.table = OnceLock::from(table);
        self.first + place
    }

    /// Bytes of memory, with those of the table whether or not it was made yet.
    pub fn memory_bytes(&self) -> usize {
        let table = self.table.get().map(CompactTable::memory_bytes);
        let table = table.unwrap_or_else(|| CompactTable::memory_bytes_of(self.hashes.len()));
        self.hashes.capacity() * size_of::<u128>() + table
    }
}

fn table_of(hashes: &[u128]) -> CompactTable {
    let mut table = CompactTable::with_capacity(hashes.len());
    for (place, &hash) in (0_u32..).zip(hashes) {
        table.insert(slot_hash(hash), place, |place| slot_hash(hashes[place as usize]));
    }
    table
}

fn slot_hash(hash: u128) -> u64 {
    hash as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    // If this fails, a customer is found once and then never again, or the other way round.
    #[test]
    fn the_first_look_and_the_hundredth_find_the_same() {
        let mut layer = Layer::from_hashes(7, (0..50).map(|number| number * 3).collect());
        for _ in 0..100 {
            assert_eq!((layer.find(0), layer.find(147), layer.find(1)), (Some(7), Some(56), None));
        }
        assert_eq!((layer.push(1), layer.find(1), layer.find(147)), (57, Some(57), Some(56)));
        let mut unasked = Layer::from_hashes(0, vec![5]);
        assert_eq!((unasked.push(6), unasked.find(5), unasked.find(6)), (1, Some(0), Some(1)));
    }
}

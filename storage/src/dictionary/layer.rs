//! Identifiers with consecutive numbers, found by their hashes.

use super::compact_table::CompactTable;

/// Hashes by number, and numbers by hash: 16.5 bytes and at most 7.4 bytes per identifier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    first: u32,
    hashes: Vec<u128>,
    table: CompactTable,
}

impl Layer {
    /// An empty layer whose identifiers begin with the number `first`.
    pub fn new(first: u32) -> Self {
        Self { first, ..Self::default() }
    }

    /// A layer of these hashes, the first of which has the number `first`.
    pub fn from_hashes(first: u32, hashes: Vec<u128>) -> Self {
        let mut table = CompactTable::with_capacity(hashes.len());
        for (place, &hash) in (0_u32..).zip(&hashes) {
            table.insert(slot_hash(hash), place, |place| slot_hash(hashes[place as usize]));
        }
        Self { first, hashes, table }
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
        let is_it = |place: u32| self.hashes[place as usize] == hash;
        self.table.find(slot_hash(hash), is_it).map(|place| self.first + place)
    }

    /// Adds an identifier that is not there yet; answers its number.
    pub fn push(&mut self, hash: u128) -> u32 {
        let place = self.hashes.len() as u32;
        if self.hashes.len() == self.hashes.capacity() {
            // Doubling would cost half as much again in memory.
            self.hashes.reserve_exact((self.hashes.len() / 32).max(64));
        }
        self.hashes.push(hash);
        let hashes = &self.hashes;
        let hash_of = |place: u32| slot_hash(hashes[place as usize]);
        self.table.insert(slot_hash(hash), place, hash_of);
        self.first + place
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u128>() + self.table.memory_bytes()
    }
}

fn slot_hash(hash: u128) -> u64 {
    hash as u64
}

//! A hash table of 32-bit places whose memory grows by a fifth and not by doubling.
//!
//! The table holds no keys: the caller keeps them by place and says how to compare one. A slot is a
//! one-byte tag and a four-byte place, at most 13 of 16 slots are taken, so an entry costs between
//! 6.2 and 7.4 bytes once the table is large. Entries are never removed.

const SLOTS_MIN: usize = 16;
/// The tag of a slot that nobody took.
const FREE: u8 = 0;

/// Places by the hash of their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct CompactTable {
    tags: Vec<u8>,
    places: Vec<u32>,
    taken: usize,
}

impl CompactTable {
    /// A table that takes `entries` entries without growing.
    pub fn with_capacity(entries: usize) -> Self {
        let mut table = Self::default();
        if entries > 0 {
            table.reset(slots_for(entries));
        }
        table
    }

    /// The place whose key has this hash and for which `is_it` holds.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.tags.is_empty() {
            return None;
        }
        let tag = tag_of(hash);
        let mut slot = self.home_of(hash);
        loop {
            let found = self.tags[slot];
            if found == FREE {
                return None;
            }
            if found == tag && is_it(self.places[slot]) {
                return Some(self.places[slot]);
            }
            slot = self.after(slot);
        }
    }

    /// Adds a place that is not there yet; `hash_of` gives back the hashes of the places that are.
    pub fn insert(&mut self, hash: u64, place: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.taken + 1) * 16 > self.tags.len() * 13 {
            self.grow(hash_of);
        }
        self.put(hash, place);
    }

    /// Bytes of memory of a table with this capacity.
    pub fn memory_bytes_of(entries: usize) -> usize {
        slots_for(entries) * (size_of::<u8>() + size_of::<u32>())
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.tags.capacity() + self.places.capacity() * size_of::<u32>()
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let slots = (self.tags.len() + self.tags.len() / 5).max(slots_for(self.taken + 1));
        let places: Vec<u32> = std::mem::take(&mut self.places);
        let tags = std::mem::take(&mut self.tags);
        self.reset(slots);
        for (tag, place) in tags.into_iter().zip(places) {
            if tag != FREE {
                self.put(hash_of(place), place);
            }
        }
    }

    fn reset(&mut self, slots: usize) {
        self.tags = vec![FREE; slots];
        self.places = vec![0; slots];
        self.taken = 0;
    }

    fn put(&mut self, hash: u64, place: u32) {
        let mut slot = self.home_of(hash);
        while self.tags[slot] != FREE {
            slot = self.after(slot);
        }
        self.tags[slot] = tag_of(hash);
        self.places[slot] = place;
        self.taken += 1;
    }

    /// Spreads the hash over a number of slots that is no power of two.
    fn home_of(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.tags.len() as u128) >> 64) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.tags.len() { 0 } else { slot + 1 }
    }
}

fn slots_for(entries: usize) -> usize {
    (entries * 16 / 13 + 1).max(SLOTS_MIN)
}

/// The low bits: the high ones say which slot.
fn tag_of(hash: u64) -> u8 {
    (hash as u8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        let hash = |place: u32| xxh3_64(&place.to_le_bytes());
        let mut table = CompactTable::default();
        for place in 0..20_000 {
            assert_eq!(table.find(hash(place), |found| found == place), None);
            table.insert(hash(place), place, hash);
        }
        for place in 0..20_000 {
            assert_eq!(table.find(hash(place), |found| found == place), Some(place));
        }
    }

    #[test]
    fn an_entry_costs_less_than_eight_bytes_in_the_long_run() {
        let hash = |place: u32| xxh3_64(&place.to_le_bytes());
        let mut table = CompactTable::default();
        for place in 0..200_000_u32 {
            table.insert(hash(place), place, hash);
            let entries = place as usize + 1;
            if entries > 1000 {
                assert!(table.memory_bytes() < entries * 8, "entries={entries}");
            }
        }
    }
}

//! The dictionary of identifiers: from a namespace and a value to a 32-bit number.
//!
//! A value is found by the 128-bit hash of its namespace and its normalised form; values themselves
//! lie in dictionary runs and are read only to be shown. Two different values with the same hash
//! would be taken for one. With ten thousand million identifiers the odds of one such pair are
//! below one in 10^18, which is the risk that this design accepts.

mod compact_table;
mod layer;
mod normalise;
pub(crate) mod run;

pub(crate) use compact_table::CompactTable;
pub(crate) use layer::Layer;
pub use normalise::ValueRules;

use crate::merge_plan::first_to_merge;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The hash by which an identifier is known: XXH3, 128 bits, of the namespace's number (two bytes,
/// little-endian), a zero byte, and the normalised value.
pub fn identifier_hash(namespace: u16, normalised: &str) -> u128 {
    let mut hasher = HashBuffer::default();
    hasher.hash(namespace, normalised)
}

/// Computes identifier hashes without asking for memory each time.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashBuffer(Vec<u8>);

impl HashBuffer {
    pub fn hash(&mut self, namespace: u16, normalised: &str) -> u128 {
        self.0.clear();
        self.0.extend_from_slice(&namespace.to_le_bytes());
        self.0.push(0);
        self.0.extend_from_slice(normalised.as_bytes());
        xxh3_128(&self.0)
    }
}

/// The numbers of all identifiers of one version. At most 24 bytes per identifier, once there are
/// some thousands; a copy shares the memory.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    /// Oldest first, with consecutive numbers.
    layers: Vec<Arc<Layer>>,
    len: u32,
}

impl Dictionary {
    /// The number of an identifier, by its normalised value; see [`ValueRules::normalise`].
    pub fn find(&self, namespace: u16, normalised: &str) -> Option<u32> {
        self.find_hash(identifier_hash(namespace, normalised))
    }

    /// How many identifiers there are; also the number that the next one gets.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no identifiers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.memory_bytes()).sum()
    }

    /// The number of the identifier with this hash.
    pub(crate) fn find_hash(&self, hash: u128) -> Option<u32> {
        let found = self.layers.iter().find_map(|layer| layer.find(hash))?;
        (found < self.len).then_some(found)
    }

    /// The hash of an identifier.
    pub(crate) fn hash_of(&self, identifier: u32) -> Option<u128> {
        let after = self.layers.partition_point(|layer| layer.first() <= identifier);
        let layer = self.layers.get(after.checked_sub(1)?)?;
        layer.hashes().get((identifier - layer.first()) as usize).copied()
    }

    /// The dictionary when it had `len` identifiers: numbers are given in order and for ever.
    pub(crate) fn when_it_had(&self, len: u32) -> Self {
        Self { layers: self.layers.clone(), len: len.min(self.len) }
    }

    /// Adds identifiers that follow those that are there. Small layers are merged, so that there
    /// are never more than about two dozen to look into.
    pub(crate) fn append(&mut self, layer: Layer) {
        if layer.len() == 0 {
            return;
        }
        self.len = layer.first() + layer.len() as u32;
        self.layers.push(Arc::new(layer));
        let sizes: Vec<u64> = self.layers.iter().map(|layer| layer.len() as u64).collect();
        if let Some(start) = first_to_merge(&sizes) {
            let merged = self.layers[start..].iter().flat_map(|layer| layer.hashes()).copied();
            let merged = Layer::from_hashes(self.layers[start].first(), merged.collect());
            self.layers.truncate(start);
            self.layers.push(Arc::new(merged));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_identifier_is_for_ever() {
        assert_eq!(identifier_hash(0, "u1"), xxh3_128(b"\0\0\0u1"));
        assert_eq!(identifier_hash(258, "ü"), xxh3_128("\u{2}\u{1}\0ü".as_bytes()));
    }

    #[test]
    fn identifiers_are_found_across_many_small_layers() {
        let mut dictionary = Dictionary::default();
        for number in 0..5000_u32 {
            let mut layer = Layer::new(number);
            assert_eq!(layer.push(identifier_hash(1, &number.to_string())), number);
            dictionary.append(layer);
        }
        assert!(dictionary.layers.len() < 20, "{}", dictionary.layers.len());
        for number in 0..5000 {
            assert_eq!(dictionary.find(1, &number.to_string()), Some(number));
            assert_eq!(dictionary.find(2, &number.to_string()), None);
            let hash = identifier_hash(1, &number.to_string());
            assert_eq!(dictionary.hash_of(number), Some(hash));
        }
        assert_eq!(dictionary.hash_of(5000), None);
        let before = dictionary.when_it_had(7);
        assert_eq!((before.find(1, "6"), before.find(1, "7")), (Some(6), None));
    }

    #[test]
    fn an_identifier_costs_at_most_24_bytes() {
        let mut layer = Layer::new(0);
        for number in 0..300_000_u32 {
            layer.push(identifier_hash(0, &number.to_string()));
            let bytes = layer.memory_bytes();
            assert!(number < 5000 || bytes <= (number as usize + 1) * 24, "{bytes} at {number}");
        }
    }
}

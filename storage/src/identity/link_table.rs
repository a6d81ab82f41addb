//! The observed links of a database in memory: which pairs, since when, and per identifier.
//!
//! A link costs 20 bytes and at most 7.4 bytes of the table that finds it, and each identifier
//! four.

use crate::dictionary::CompactTable;
use crate::error::{Error, Result};

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// Distinct pairs of identifiers with the earliest time at which an event showed them together.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkTable {
    /// The smaller identifier in the high half, the larger one in the low half.
    pairs: Vec<u64>,
    valid_from_us: Vec<i64>,
    /// The next link with the same smaller identifier.
    next: Vec<u32>,
    /// The first link of each identifier that is its smaller one.
    first: Vec<u32>,
    table: CompactTable,
}

/// What a sighting of a pair adds to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// Nothing.
    Known,
    /// The pair at this place is linked since an earlier time than known.
    Earlier(u32),
    /// The pair is new, at this place.
    New(u32),
}

impl LinkTable {
    /// Room for so many links.
    pub fn with_capacity(links: usize) -> Self {
        Self {
            pairs: Vec::with_capacity(links),
            valid_from_us: Vec::with_capacity(links),
            next: Vec::with_capacity(links),
            first: Vec::new(),
            table: CompactTable::with_capacity(links),
        }
    }

    /// How many distinct pairs.
    pub fn len(&self) -> u32 {
        self.pairs.len() as u32
    }

    /// The two identifiers of a link, the smaller first.
    pub fn pair(&self, place: u32) -> (u32, u32) {
        ends_of(self.pairs[place as usize])
    }

    /// The earliest time of a link.
    pub fn valid_from_us(&self, place: u32) -> i64 {
        self.valid_from_us[place as usize]
    }

    /// The links whose smaller identifier is `low`: the other end and the time.
    pub fn links_of(&self, low: u32) -> impl Iterator<Item = (u32, i64)> + '_ {
        let mut at = self.first.get(low as usize).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let place = at as usize;
            if at == NONE {
                return None;
            }
            at = self.next[place];
            Some((ends_of(self.pairs[place]).1, self.valid_from_us[place]))
        })
    }

    /// Takes in that two different identifiers were seen together.
    pub fn see(&mut self, one: u32, other: u32, ts_us: i64) -> Result<Sighting> {
        let pair = pair_of(one, other);
        let hash = hash_of(pair);
        let pairs = &self.pairs;
        if let Some(place) = self.table.find(hash, |place| pairs[place as usize] == pair) {
            let known = &mut self.valid_from_us[place as usize];
            if ts_us >= *known {
                return Ok(Sighting::Known);
            }
            *known = ts_us;
            return Ok(Sighting::Earlier(place));
        }
        let place = self.len();
        if place == NONE {
            return Err(Error::Exhausted { what: "links", limit: u64::from(NONE) });
        }
        self.table.insert(hash, place, |place| hash_of(pairs[place as usize]));
        self.pairs.push(pair);
        self.valid_from_us.push(ts_us);
        let low = one.min(other) as usize;
        if self.first.len() <= low {
            self.first.resize(low + 1, NONE);
        }
        self.next.push(std::mem::replace(&mut self.first[low], place));
        Ok(Sighting::New(place))
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        (self.pairs.capacity() + self.valid_from_us.capacity()) * size_of::<u64>()
            + (self.next.capacity() + self.first.capacity()) * size_of::<u32>()
            + self.table.memory_bytes()
    }
}

/// A pair as one number.
pub(crate) fn pair_of(one: u32, other: u32) -> u64 {
    (u64::from(one.min(other)) << 32) | u64::from(one.max(other))
}

fn ends_of(pair: u64) -> (u32, u32) {
    ((pair >> 32) as u32, pair as u32)
}

/// Spreads a pair over 64 bits (the finaliser of SplitMix64).
pub(crate) fn hash_of(pair: u64) -> u64 {
    let mixed = (pair ^ (pair >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_keeps_its_earliest_time_whichever_way_round_it_came() {
        let mut links = LinkTable::default();
        assert_eq!(links.see(7, 3, 50).unwrap(), Sighting::New(0));
        assert_eq!(links.see(3, 9, 10).unwrap(), Sighting::New(1));
        assert_eq!(links.see(3, 7, 60).unwrap(), Sighting::Known);
        assert_eq!(links.see(3, 7, 40).unwrap(), Sighting::Earlier(0));
        assert_eq!(links.pair(0), (3, 7));
        assert_eq!(links.links_of(3).collect::<Vec<_>>(), [(9, 10), (7, 40)]);
        assert_eq!(links.links_of(7).count() + links.links_of(100).count(), 0);
    }
}

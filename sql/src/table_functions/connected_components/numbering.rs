//! Numbers for values: each distinct value once, in the order in which they come.
//!
//! A slot of the hash table is half of the value's hash and its number. So most values that are not
//! the wanted one are passed by without a look at their bytes, and the table grows without any.
//! Values are looked up in chunks: first the slots of all, then where the values lie that the slots
//! lead to, then their bytes. Places in memory that do not depend on each other are waited for
//! together.

use datafusion::common::{Result, exec_err};
use std::ops::Range;

/// How many bytes the values of one numbering may have: what one buffer of views can hold.
const BYTES_MAX: usize = i32::MAX as usize;
/// What is known of so many rows stays in the fastest memory.
const CHUNK_ROWS: usize = 256;
const SLOTS_MIN: usize = 16;
/// A slot that nobody took: no slot has the number above that of a value at 0.
const FREE: u64 = 0;

/// The values that have come, numbered from 0.
#[derive(Debug)]
pub(super) struct Numbering {
    // As many as a power of two, of which half are free.
    slots: Vec<u64>,
    // One behind the other.
    bytes: Vec<u8>,
    // Where each value begins, and where the last one ends.
    borders: Vec<u32>,
    values_max: u32,
}

/// A row that looks for its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub row: u32,
    /// The upper half of the value's hash.
    pub hash: u32,
}

/// A value that may be that of a row.
#[derive(Clone, Copy, Default)]
struct Candidate {
    slot: u64,
    begin: u32,
    end: u32,
}

impl Candidate {
    fn place(&self) -> Range<usize> {
        self.begin as usize..self.end as usize
    }
}

impl Numbering {
    /// No value yet, and never more than so many.
    pub fn new(values_max: u32) -> Self {
        let (slots, borders) = (vec![FREE; SLOTS_MIN], vec![0]);
        Self { slots, bytes: Vec::new(), borders, values_max }
    }

    /// How many values have a number.
    pub fn len(&self) -> usize {
        self.borders.len() - 1
    }

    pub fn value(&self, number: u32) -> &[u8] {
        let (begin, end) = self.place_of(number);
        &self.bytes[begin as usize..end as usize]
    }

    /// The values one behind the other, and where each begins and the last one ends.
    pub fn into_values(self) -> (Vec<u8>, Vec<u32>) {
        (self.bytes, self.borders)
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
            + self.bytes.capacity()
            + self.borders.capacity() * size_of::<u32>()
    }

    /// Tells the number of the value of each of these rows.
    ///
    /// # Errors
    /// When there are more distinct values, or bytes of them, than can be numbered.
    pub fn number<'v>(
        &mut self,
        rows: &[Sought],
        value_of: impl Fn(u32) -> &'v [u8],
        mut tell: impl FnMut(u32, u32),
    ) -> Result<()> {
        let mut chunk_of = [Candidate::default(); CHUNK_ROWS];
        for rows in rows.chunks(CHUNK_ROWS) {
            let chunk = &mut chunk_of[..rows.len()];
            self.look_ahead(rows, chunk);
            for (sought, candidate) in rows.iter().zip(&*chunk) {
                let value = value_of(sought.row);
                let is_it = candidate.slot != FREE && &self.bytes[candidate.place()] == value;
                let number = if is_it {
                    number_of(candidate.slot)
                } else {
                    self.find_or_add(sought.hash, value)?
                };
                tell(sought.row, number);
            }
        }
        Ok(())
    }

    /// The first value, for each of these rows, whose hash is the wanted one; no slot when it has
    /// to be looked for.
    fn look_ahead(&self, rows: &[Sought], chunk: &mut [Candidate]) {
        for (sought, candidate) in rows.iter().zip(&mut *chunk) {
            let slot = self.slots[self.home_of(sought.hash)];
            candidate.slot = if hash_of(slot) == sought.hash { slot } else { FREE };
        }
        for candidate in chunk.iter_mut().filter(|candidate| candidate.slot != FREE) {
            (candidate.begin, candidate.end) = self.place_of(number_of(candidate.slot));
        }
    }

    fn find_or_add(&mut self, hash: u32, value: &[u8]) -> Result<u32> {
        let mut at = self.home_of(hash);
        while self.slots[at] != FREE {
            let number = number_of(self.slots[at]);
            if hash_of(self.slots[at]) == hash && self.value(number) == value {
                return Ok(number);
            }
            at = self.after(at);
        }
        self.add(hash, value)
    }

    fn add(&mut self, hash: u32, value: &[u8]) -> Result<u32> {
        let number = self.len() as u32; // At most values_max.
        let end = self.bytes.len() + value.len();
        if number == self.values_max || end > BYTES_MAX {
            return exec_err!(
                "connected_components has too many values. values={number}, bytes={end}, in one of \
                 its shards, which takes values_max={}, bytes_max={BYTES_MAX}",
                self.values_max
            );
        }
        if (self.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.bytes.extend_from_slice(value);
        self.borders.push(end as u32); // At most BYTES_MAX.
        self.put(slot_of(hash, number));
        Ok(number)
    }

    fn place_of(&self, number: u32) -> (u32, u32) {
        let number = number as usize;
        (self.borders[number], self.borders[number + 1])
    }

    fn grow(&mut self) {
        let slots = vec![FREE; self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, slots) {
            if slot != FREE {
                self.put(slot);
            }
        }
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home_of(hash_of(slot));
        while self.slots[at] != FREE {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    /// The first place of a hash.
    fn home_of(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

fn slot_of(hash: u32, number: u32) -> u64 {
    (u64::from(hash) << 32) | (u64::from(number) + 1)
}

fn hash_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn number_of(slot: u64) -> u32 {
    (slot as u32) - 1
}

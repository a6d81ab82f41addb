//! Numbers for values: each distinct value once, in the order in which they come.
//!
//! A slot of the hash table is half of the value's hash and its number. So most values that are not
//! the wanted one are passed by without a look at their bytes, and the table grows without any.
//! Values are looked up in chunks, first the slots of all and then what the slots lead to: places
//! in memory that do not depend on each other are waited for together.

use datafusion::arrow::array::{ArrayBuilder, BinaryViewArray, BinaryViewBuilder};
use datafusion::common::{Result, exec_err};
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// The number of a row that has no value.
pub(super) const NO_VALUE: u32 = u32::MAX;
/// As many as one list can hold.
const VALUES_MAX: usize = i32::MAX as usize;
/// What is known of so many rows stays in the fastest memory.
const CHUNK_ROWS: usize = 256;
const SLOTS_MIN: usize = 16;
/// A slot that nobody took: no slot has the number above that of a value at 0.
const FREE: u64 = 0;

/// The values that have come, numbered from 0.
#[derive(Debug)]
pub(super) struct Numbering {
    // A random seed: who chooses the values must not choose where they collide.
    seed: RandomState,
    // As many as a power of two, of which half are free.
    slots: Vec<u64>,
    values: BinaryViewBuilder,
    // Of the rows of one chunk: the hash, and the first slot that it leads to.
    chunk: Vec<(u64, u64)>,
}

impl Default for Numbering {
    fn default() -> Self {
        Self {
            seed: RandomState::default(),
            slots: vec![FREE; SLOTS_MIN],
            values: BinaryViewBuilder::new(),
            chunk: Vec::new(),
        }
    }
}

impl Numbering {
    /// How many values have a number.
    pub fn len(&self) -> u32 {
        self.values.len() as u32 // At most VALUES_MAX.
    }

    /// The values by their numbers.
    pub fn values(&self) -> BinaryViewArray {
        self.values.finish_cloned()
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
            + self.values.allocated_size()
            + self.chunk.capacity() * size_of::<(u64, u64)>()
    }

    /// The numbers of the values of so many rows, [`NO_VALUE`] where a row has none.
    ///
    /// # Errors
    /// When there are more distinct values than a list can hold, or one is too long for Arrow.
    pub fn number<'v>(
        &mut self,
        rows: usize,
        value_of: impl Fn(usize) -> Option<&'v [u8]>,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        numbers.clear();
        numbers.reserve(rows);
        for start in (0..rows).step_by(CHUNK_ROWS) {
            self.number_chunk(start..rows.min(start + CHUNK_ROWS), &value_of, numbers)?;
        }
        Ok(())
    }

    fn number_chunk<'v>(
        &mut self,
        rows: Range<usize>,
        value_of: &impl Fn(usize) -> Option<&'v [u8]>,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.clear();
        chunk.extend(rows.clone().map(|row| (value_of(row).map_or(0, |v| self.hash(v)), FREE)));
        for (hash, slot) in &mut chunk {
            *slot = self.slots[self.home_of(*hash)];
        }
        // Nothing is added in between, so that no row has to wait for the one before it.
        let known = chunk.iter().zip(rows.clone()).map(|((hash, slot), row)| {
            value_of(row).map_or(NO_VALUE, |value| self.find(*hash, *slot, value))
        });
        numbers.extend(known);
        for ((hash, _), row) in chunk.iter().zip(rows) {
            if numbers[row] == NO_VALUE
                && let Some(value) = value_of(row)
            {
                numbers[row] = self.find_or_add(*hash, value)?;
            }
        }
        self.chunk = chunk;
        Ok(())
    }

    fn hash(&self, value: &[u8]) -> u64 {
        // Not the slice's own hash, which would begin with its length as a number.
        let mut hasher = self.seed.build_hasher();
        hasher.write(value);
        hasher.finish()
    }

    /// The number of a value, from the slot on that is the first for its hash.
    fn find(&self, hash: u64, first: u64, value: &[u8]) -> u32 {
        let (mut at, mut slot) = (self.home_of(hash), first);
        loop {
            if slot == FREE {
                return NO_VALUE;
            }
            if self.is_slot_of(slot, hash, value) {
                return number_of(slot);
            }
            at = self.after(at);
            slot = self.slots[at];
        }
    }

    fn find_or_add(&mut self, hash: u64, value: &[u8]) -> Result<u32> {
        // A row before it in the chunk may have had the same value.
        let found = self.find(hash, self.slots[self.home_of(hash)], value);
        if found != NO_VALUE {
            return Ok(found);
        }
        if self.values.len() >= VALUES_MAX {
            return exec_err!("connected_components has too many values. values_max={VALUES_MAX}");
        }
        if (self.values.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let number = self.len();
        self.values.try_append_value(value)?;
        self.put(slot_of(hash, number));
        Ok(number)
    }

    fn is_slot_of(&self, slot: u64, hash: u64, value: &[u8]) -> bool {
        (slot ^ hash) >> 32 == 0 && self.values.get_value(number_of(slot) as usize) == value
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
        let mut at = self.home_of(slot);
        while self.slots[at] != FREE {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    /// The first place of a hash, or of a slot: both begin with the half that is kept.
    fn home_of(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

fn slot_of(hash: u64, number: u32) -> u64 {
    (hash >> 32 << 32) | (u64::from(number) + 1)
}

fn number_of(slot: u64) -> u32 {
    (slot as u32) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};
    use std::collections::HashMap;

    /// Texts of which many come again, some longer than what fits into a view.
    fn batches() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
        let value = prop::option::of("[ab]{0,3}(long enough not to fit)?[a-z]?");
        prop::collection::vec(prop::collection::vec(value, 0..700), 1..4)
    }

    // What breaks: two values are taken for one, or one for two.
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn values_have_the_numbers_of_a_plain_map(batches in batches()) {
            let mut numbering = Numbering::default();
            let mut model: HashMap<String, u32> = HashMap::new();
            let mut numbers = Vec::new();
            for batch in &batches {
                let value_of = |row: usize| batch[row].as_ref().map(String::as_bytes);
                numbering.number(batch.len(), value_of, &mut numbers).unwrap();
                let wanted: Vec<u32> = batch.iter().map(|value| {
                    let next = model.len() as u32;
                    let known = |value: &String| *model.entry(value.clone()).or_insert(next);
                    value.as_ref().map_or(NO_VALUE, known)
                }).collect();
                assert_eq!(numbers, wanted);
            }
            let values = numbering.values();
            for (value, number) in &model {
                assert_eq!(values.value(*number as usize), value.as_bytes());
            }
            assert_eq!(numbering.len() as usize, model.len());
        }
    }
}

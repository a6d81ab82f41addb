//! One numbering for all threads: each value belongs to one shard by its hash, and a shard is locked
//! once for all rows of a batch that belong to it.

use super::numbering::{Numbering, Sought};
use datafusion::common::Result;
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};

/// The number of a row that has no value.
pub(super) const NO_VALUE: u32 = u32::MAX;
/// So that a thread seldom finds a shard locked.
const SHARDS_PER_THREAD: usize = 8;
/// A batch's rows in one shard are still enough to be looked up together.
const SHARDS_MAX: usize = 256;

/// The values that have come. The number of a value is its number in its shard times the number of
/// shards, plus that of the shard: numbers are nearly dense, and no shard waits for another's.
#[derive(Debug)]
pub(super) struct Shards {
    // A random seed: who chooses the values must not choose where they collide.
    seed: RandomState,
    shards: Vec<Mutex<Numbering>>,
}

/// One thread's way through the shards, and what it needs for one batch.
#[derive(Debug, Default)]
pub(super) struct Visitor {
    // Other threads begin elsewhere.
    first_shard: usize,
    sought: Vec<(usize, Sought)>,
    by_shard: Vec<Sought>,
    ends: Vec<usize>,
}

impl Visitor {
    /// One that begins with this shard.
    pub fn beginning_at(first_shard: usize) -> Self {
        Self { first_shard, ..Self::default() }
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.sought.capacity() * size_of::<(usize, Sought)>()
            + self.by_shard.capacity() * size_of::<Sought>()
            + self.ends.capacity() * size_of::<usize>()
    }
}

impl Shards {
    /// No value yet, for so many threads.
    pub fn new(threads: usize) -> Self {
        let wanted = threads.saturating_mul(SHARDS_PER_THREAD).clamp(1, SHARDS_MAX);
        let count = wanted.next_power_of_two();
        let values_max = NO_VALUE / count as u32; // At most SHARDS_MAX.
        let shard = || Mutex::new(Numbering::new(values_max));
        Self {
            seed: RandomState::default(),
            shards: std::iter::repeat_with(shard).take(count).collect(),
        }
    }

    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// The numbers of the values of so many rows, [`NO_VALUE`] where a row has none. Answers how
    /// many bytes of memory that took for good.
    ///
    /// # Errors
    /// When there are more distinct values, or bytes of them, than can be numbered.
    pub fn number<'v>(
        &self,
        rows: usize,
        value_of: impl Fn(usize) -> Option<&'v [u8]>,
        visitor: &mut Visitor,
        numbers: &mut Vec<u32>,
    ) -> Result<usize> {
        numbers.clear();
        numbers.resize(rows, NO_VALUE);
        self.sort_by_shard(rows, &value_of, visitor);
        let value_of = |row: u32| value_of(row as usize).unwrap_or_default();
        let mut memory_bytes = 0;
        for turn in 0..self.count() {
            let at = (visitor.first_shard + turn) % self.count();
            let begin = if at == 0 { 0 } else { visitor.ends[at - 1] };
            let rows = &visitor.by_shard[begin..visitor.ends[at]];
            // A panic of another thread ends the query; what it left is not asked any more.
            let mut shard = self.shards[at].lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.memory_bytes();
            shard.number(rows, value_of, |row, number| {
                numbers[row as usize] = number * self.count() as u32 + at as u32;
            })?;
            memory_bytes += shard.memory_bytes() - before;
        }
        Ok(memory_bytes)
    }

    /// The rows that have a value, those of one shard together.
    fn sort_by_shard<'v>(
        &self,
        rows: usize,
        value_of: &impl Fn(usize) -> Option<&'v [u8]>,
        visitor: &mut Visitor,
    ) {
        let Visitor { sought, by_shard, ends, .. } = visitor;
        sought.clear();
        sought.extend((0..rows).filter_map(|row| {
            let hash = self.hash(value_of(row)?);
            let shard = hash as usize & (self.count() - 1);
            Some((shard, Sought { row: row as u32, hash: (hash >> 32) as u32 }))
        }));
        // First how many, then where they begin, and once all are put there, where they end.
        ends.clear();
        ends.resize(self.count(), 0);
        for (shard, _) in &*sought {
            ends[*shard] += 1;
        }
        let mut begin = 0;
        for end in ends.iter_mut() {
            begin += std::mem::replace(end, begin);
        }
        by_shard.clear();
        by_shard.resize(sought.len(), Sought { row: 0, hash: 0 });
        for (shard, sought) in &*sought {
            by_shard[ends[*shard]] = *sought;
            ends[*shard] += 1;
        }
    }

    fn hash(&self, value: &[u8]) -> u64 {
        // Not the slice's own hash, which would begin with its length as a number.
        let mut hasher = self.seed.build_hasher();
        hasher.write(value);
        hasher.finish()
    }

    /// The shards, once all threads are done.
    pub fn into_numberings(self) -> Vec<Numbering> {
        let shards = self.shards.into_iter();
        shards.map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};
    use std::collections::HashMap;

    /// Texts of which many come again.
    fn batches() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
        let value = prop::option::of("[ab]{0,3}(a longer one)?[a-z]?");
        prop::collection::vec(prop::collection::vec(value, 0..700), 1..4)
    }

    fn numbers_of(shards: &Shards, first_shard: usize, batch: &[Option<String>]) -> Vec<u32> {
        let mut visitor = Visitor::beginning_at(first_shard);
        let mut numbers = Vec::new();
        let value_of = |row: usize| batch[row].as_ref().map(String::as_bytes);
        shards.number(batch.len(), value_of, &mut visitor, &mut numbers).unwrap();
        numbers
    }

    // What breaks: two values are taken for one, or one for two.
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn threads_give_equal_values_the_same_number_and_no_others(batches in batches()) {
            let shards = Shards::new(3);
            let numbers: Vec<Vec<u32>> = std::thread::scope(|scope| {
                let shards = &shards;
                let threads: Vec<_> = batches.iter().enumerate()
                    .map(|(thread, batch)| scope.spawn(move || numbers_of(shards, thread, batch)))
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let mut number_of: HashMap<&str, u32> = HashMap::new();
            for (value, number) in batches.iter().flatten().zip(numbers.iter().flatten()) {
                match value {
                    Some(value) => assert_eq!(number_of.entry(value).or_insert(*number), number),
                    None => assert_eq!(*number, NO_VALUE),
                }
            }
            let count = shards.count();
            let numberings = shards.into_numberings();
            for (value, number) in &number_of {
                let (shard, in_shard) = (*number as usize % count, *number / count as u32);
                assert_eq!(numberings[shard].value(in_shard), value.as_bytes());
            }
            let values: usize = numberings.iter().map(Numbering::len).sum();
            assert_eq!(values, number_of.len());
        }
    }
}

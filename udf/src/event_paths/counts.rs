//! How often each path was taken, and by how many customers.

use std::collections::HashMap;

/// Paths of few names are counted in an array of at most 2 to this power places.
const DENSE_BITS: usize = 20;

/// The counts of one path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) times: u64,
    pub(super) customers: u32,
    /// Who took it last; 0 is nobody.
    last_customer: u32,
}

impl Count {
    #[inline]
    fn add(&mut self, customer: u32) {
        self.times += 1;
        self.customers += u32::from(self.last_customer != customer);
        self.last_customer = customer;
    }
}

/// Counts by path; a path holds 16 bits for each step.
#[derive(Debug)]
pub(super) struct PathCounts {
    steps: usize,
    /// Names below 2 to this power are counted in the array.
    name_bits: usize,
    /// The bits of a path that are zero when all its names are small.
    large: u128,
    /// By [`Self::place`]; as long as 2 to the bits of all steps.
    dense: Vec<Count>,
    sparse: HashMap<u128, Count>,
}

impl PathCounts {
    pub(super) fn new(steps: usize) -> Self {
        Self::with_name_bits(steps, 0)
    }

    fn with_name_bits(steps: usize, name_bits: usize) -> Self {
        let large = (0..steps).map(|step| ((0xffff_u128 >> name_bits) << name_bits) << (16 * step));
        let large = large.fold(0, |all, bits| all | bits);
        let dense = vec![Count::default(); 1 << (name_bits * steps)];
        Self { steps, name_bits, large, dense, sparse: HashMap::new() }
    }

    /// Makes room in the array for paths of so many names, or for as many as it may hold.
    pub(super) fn fit(&mut self, names: usize) {
        let wanted = names.next_power_of_two().trailing_zeros() as usize;
        let name_bits = wanted.min(DENSE_BITS / self.steps).min(16);
        if name_bits <= self.name_bits {
            return;
        }
        let mut larger = Self::with_name_bits(self.steps, name_bits);
        for (path, count) in self.all() {
            *larger.count(path) = count;
        }
        *self = larger;
    }

    /// Whether the array has room for all paths of so many names.
    pub(super) fn holds(&self, names: usize) -> bool {
        names <= 1 << self.name_bits
    }

    /// One more; bits above those of the steps do not count.
    pub(super) fn add(&mut self, path: u128, customer: u32) {
        self.count(path).add(customer);
    }

    fn count(&mut self, path: u128) -> &mut Count {
        if path & self.large == 0 {
            let place = self.place(path);
            return &mut self.dense[place];
        }
        let steps = u128::MAX >> (128 - 16 * self.steps);
        self.sparse.entry(path & steps).or_default()
    }

    /// One more at a place of the array.
    #[inline]
    pub(super) fn add_at(&mut self, place: usize, customer: u32) {
        self.dense[place].add(customer);
    }

    /// The place that follows, when an event with a small name is next.
    #[inline]
    pub(super) fn next_place(&self, place: usize, name: u32) -> usize {
        ((place << self.name_bits) | name as usize) & (self.dense.len() - 1)
    }

    /// The place of a path whose names are small.
    pub(super) fn place(&self, path: u128) -> usize {
        let mut place = 0;
        for step in (0..self.steps).rev() {
            let name = ((path >> (16 * step)) & 0xffff) as usize;
            place = (place << self.name_bits) | name;
        }
        place
    }

    /// The path at a place.
    pub(super) fn path(&self, place: usize) -> u128 {
        let name = |step: usize| (place >> (self.name_bits * step)) & ((1 << self.name_bits) - 1);
        (0..self.steps).fold(0, |path, step| path | ((name(step) as u128) << (16 * step)))
    }

    /// All paths that were taken.
    pub(super) fn all(&self) -> impl Iterator<Item = (u128, Count)> {
        let dense = self.dense.iter().enumerate().filter(|(_, count)| count.times > 0);
        let dense = dense.map(|(place, &count)| (self.path(place), count));
        dense.chain(self.sparse.iter().map(|(&path, &count)| (path, count)))
    }

    pub(super) fn size(&self) -> usize {
        let one = size_of::<u128>() + size_of::<Count>();
        self.dense.len() * size_of::<Count>() + self.sparse.capacity() * one * 8 / 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_names_are_counted_apart_and_come_out_whole() {
        for steps in 1..=8 {
            let mut counts = PathCounts::new(steps);
            let path = |name: u128| (0..steps).fold(0, |path, step| path | (name << (16 * step)));
            for name in [0, 1, 3, 300, 65_535] {
                counts.fit(name as usize + 1);
                counts.add(path(name) | (7 << (16 * steps.min(7))), 1);
                counts.add(path(name), 2);
            }
            let all = counts.all().filter(|(_, count)| count.customers == 2);
            let mut all = all.map(|(path, _)| path).collect::<Vec<_>>();
            all.sort_unstable();
            let expected = match steps {
                // Of eight steps no bits are above: they make other paths, but for one.
                8 => vec![path(65_535)],
                _ => [0, 1, 3, 300, 65_535].map(path).to_vec(),
            };
            assert_eq!(all, expected, "{steps} steps");
        }
    }
}

//! Connected components of 32-bit numbers: Rem's algorithm with splicing.
//!
//! Parents never have a larger number than their children, so the root of a set is its smallest
//! member, which is what makes the numbers of customers independent of the order of the links.

/// Disjoint sets of the numbers `0..len`; the representative of a set is its smallest member.
///
/// ```
/// use habitue_storage::identity::components::DisjointSets;
/// let mut sets = DisjointSets::new(4);
/// assert_eq!(sets.unite(3, 1), Some(3));
/// assert_eq!(sets.unite(1, 3), None);
/// assert_eq!(sets.find(3), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct DisjointSets {
    parents: Vec<u32>,
}

impl DisjointSets {
    /// `len` sets of one member each.
    pub fn new(len: u32) -> Self {
        Self { parents: (0..len).collect() }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// Adds sets of one member each until there are `len` numbers.
    pub fn grow(&mut self, len: u32) {
        let start = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
        self.parents.extend(start..len);
    }

    /// The smallest member of the set of `member`; halves the path on its way.
    pub fn find(&mut self, member: u32) -> u32 {
        let mut at = member;
        loop {
            let parent = self.parents[at as usize];
            let above = self.parents[parent as usize];
            if parent == above {
                return parent;
            }
            self.parents[at as usize] = above;
            at = above;
        }
    }

    /// Joins the sets of `left` and `right`. Answers the number that was the smallest of its set
    /// until then and is not any more; `None` when both were in one set already.
    pub fn unite(&mut self, left: u32, right: u32) -> Option<u32> {
        let (mut left, mut right) = (left, right);
        loop {
            let left_parent = self.parents[left as usize];
            let right_parent = self.parents[right as usize];
            if left_parent == right_parent {
                return None;
            }
            // The side with the larger parent moves up, and what it passes gets the smaller one.
            if left_parent < right_parent {
                self.parents[right as usize] = left_parent;
                if right == right_parent {
                    return Some(right);
                }
                right = right_parent;
            } else {
                self.parents[left as usize] = right_parent;
                if left == left_parent {
                    return Some(left);
                }
                left = left_parent;
            }
        }
    }

    /// Joins whatever is joined in `other`, too.
    pub fn absorb(&mut self, other: Self) {
        let (mut larger, smaller) = if self.len() < other.len() {
            (other, std::mem::take(self))
        } else {
            (std::mem::take(self), other)
        };
        for (member, parent) in (0..).zip(smaller.parents) {
            if parent != member {
                larger.unite(member, parent);
            }
        }
        *self = larger;
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.parents.capacity() * size_of::<u32>()
    }

    /// Makes `members` sets of their own. They must be whole sets: nobody else's path may lead
    /// through them.
    pub(crate) fn dissolve(&mut self, members: impl IntoIterator<Item = u32>) {
        for member in members {
            self.parents[member as usize] = member;
        }
    }

    /// The smallest member of the set of each number.
    pub fn into_labels(mut self) -> Vec<u32> {
        for member in 0..self.parents.len() {
            // Parents are smaller and therefore already final.
            self.parents[member] = self.parents[self.parents[member] as usize];
        }
        self.parents
    }
}

/// Labels each of the numbers `0..len` with the smallest number that edges lead to.
///
/// ```
/// use habitue_storage::identity::components::connected_components;
/// assert_eq!(connected_components(&[(1, 2), (4, 2)], 5), [0, 1, 1, 3, 1]);
/// ```
///
/// # Panics
/// When an edge names a number that is not below `len`.
pub fn connected_components(edges: &[(u32, u32)], len: u32) -> Vec<u32> {
    let mut sets = DisjointSets::new(len);
    for &(left, right) in edges {
        sets.unite(left, right);
    }
    sets.into_labels()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn labels_by_repeated_relaxing(edges: &[(u32, u32)], len: u32) -> Vec<u32> {
        let mut labels: Vec<u32> = (0..len).collect();
        loop {
            let before = labels.clone();
            for &(left, right) in edges {
                let smallest = labels[left as usize].min(labels[right as usize]);
                labels[left as usize] = smallest;
                labels[right as usize] = smallest;
            }
            if labels == before {
                return labels;
            }
        }
    }

    #[test]
    fn components_equal_the_slow_ones_whatever_the_order_of_edges() {
        for seed in 0..200 {
            println!("seed={seed}");
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let len = random.random_range(1..60);
            let edges: Vec<(u32, u32)> = (0..random.random_range(0..80))
                .map(|_| (random.random_range(0..len), random.random_range(0..len)))
                .collect();
            assert_eq!(connected_components(&edges, len), labels_by_repeated_relaxing(&edges, len));
        }
    }

    #[test]
    fn each_lost_root_is_told_once() {
        let mut sets = DisjointSets::new(5);
        let mut lost: Vec<u32> = [(0, 4), (3, 4), (2, 1), (1, 3), (0, 2)]
            .iter()
            .filter_map(|&(a, b)| sets.unite(a, b))
            .collect();
        lost.sort_unstable();
        assert_eq!(lost, [1, 2, 3, 4]);
        sets.grow(6);
        assert_eq!((sets.find(4), sets.find(5)), (0, 5));
    }
}

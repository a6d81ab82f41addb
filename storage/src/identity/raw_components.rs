//! Components over all links that may connect, accepted or rejected, with what is known of each.
//!
//! A component whose counts keep all limits, and in which nobody was separated, is *free*: no rule
//! can reject a link of it, so it is one customer. Only components that are not free are replayed
//! through the rules. Links that can connect under no circumstances (of shared identifiers, of
//! separated pairs) do not count here.

use super::components::DisjointSets;
use super::rules::Rules;

/// Components with their members and counts. 8 bytes per identifier, and 4 for each namespace of
/// which a customer may hold a limited number.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawComponents {
    sets: DisjointSets,
    /// The members of each component as a ring.
    next: Vec<u32>,
    /// For each smallest member and each limited namespace: how many values the component holds.
    held: Vec<u32>,
    maxima: Vec<u32>,
}

impl RawComponents {
    /// No components, under these rules.
    pub fn new(rules: &Rules) -> Self {
        let maxima = rules.limited().iter().map(|limited| limited.max).collect();
        Self { maxima, ..Self::default() }
    }

    /// Adds identifiers that are components of their own, until there is one for each of
    /// `namespaces`.
    pub fn grow(&mut self, namespaces: &[u16], rules: &Rules) {
        let start = self.next.len();
        let len = namespaces.len() as u32;
        self.sets.grow(len);
        self.next.extend(start as u32..len);
        self.held.resize(namespaces.len() * self.maxima.len(), 0);
        for (identifier, &namespace) in namespaces.iter().enumerate().skip(start) {
            self.count_only(identifier as u32, namespace, rules);
        }
    }

    /// The smallest member of an identifier's component.
    pub fn find(&mut self, identifier: u32) -> u32 {
        self.sets.find(identifier)
    }

    /// Joins two components. Answers the number that was the smallest of its component until
    /// then; its counts and members have to be added to those of the component that it is in now.
    pub fn unite(&mut self, one: u32, other: u32) -> Option<u32> {
        self.sets.unite(one, other)
    }

    /// Adds the counts of `lost` to those of `kept`.
    pub fn add_counts(&mut self, kept: u32, lost: u32) {
        let stride = self.maxima.len();
        for place in 0..stride {
            self.held[kept as usize * stride + place] += self.held[lost as usize * stride + place];
        }
    }

    /// Adds the members of the ring of `lost` to that of `kept`; they must be different rings.
    pub fn add_members(&mut self, kept: u32, lost: u32) {
        self.next.swap(kept as usize, lost as usize);
    }

    /// Whether the counts of a component, by its smallest member, keep all limits.
    pub fn keeps_limits(&self, root: u32) -> bool {
        let held = self.held.iter().skip(root as usize * self.maxima.len());
        held.zip(&self.maxima).all(|(held, max)| held <= max)
    }

    /// The members of the ring that `member` is in, beginning with it.
    pub fn ring(&self, member: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = Some(member);
        std::iter::from_fn(move || {
            let here = at?;
            let following = self.next[here as usize];
            at = (following != member).then_some(following);
            Some(here)
        })
    }

    /// Makes all members of one component components of their own.
    pub fn dissolve(&mut self, members: &[u32], namespaces: &[u16], rules: &Rules) {
        self.sets.dissolve(members.iter().copied());
        for &member in members {
            self.next[member as usize] = member;
            self.count_only(member, namespaces[member as usize], rules);
        }
    }

    fn count_only(&mut self, identifier: u32, namespace: u16, rules: &Rules) {
        let stride = self.maxima.len();
        let start = identifier as usize * stride;
        self.held[start..start + stride].fill(0);
        if let Some(place) = rules.limited_place(namespace) {
            self.held[start + place] = 1;
        }
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        (self.sets.len() + self.next.capacity() + self.held.capacity()) * size_of::<u32>()
    }
}
